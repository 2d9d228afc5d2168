//! Repeats of one number, and many measurements of one.

/// What the repeats gave; sorted.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn add(&mut self, sample: f64) {
        let at = self.0.partition_point(|it| *it <= sample);
        self.0.insert(at, sample);
    }

    /// 0 of none.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.get(middle) {
            Some(upper) if self.0.len().is_multiple_of(2) => (self.0[middle - 1] + upper) / 2.0,
            Some(middle) => *middle,
            None => 0.0,
        }
    }

    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or_default()
    }

    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or_default()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(samples: T) -> Self {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }
}

/// Where a share of many measurements lies at or below; the nearest that was measured, 0 of none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middles() {
        let samples = |of: &[f64]| of.iter().copied().collect::<Samples>();
        assert_eq!(samples(&[]).median(), 0.0);
        assert_eq!(samples(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(samples(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        let mut added = Samples::default();
        [3.0, 1.0, 2.0].into_iter().for_each(|it| added.add(it));
        assert_eq!((added.min(), added.median(), added.max()), (1.0, 2.0, 3.0));
    }

    #[test]
    fn a_percentile_was_measured() {
        let sorted: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(percentile(&sorted, 0.5), 500.0);
        assert_eq!(percentile(&sorted, 0.99), 990.0);
        assert_eq!(percentile(&sorted, 0.999), 999.0);
        assert_eq!(percentile(&[7.0], 0.5), 7.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }
}
