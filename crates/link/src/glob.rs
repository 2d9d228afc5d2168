//! Globs of `*` and `?`, as a shell has them.

/// Whether `name` matches; time is at most the product of both lengths.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it took so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(c) if *c == b'?' || name.get(n) == Some(c) => {
                g += 1;
                n += 1;
            }
            _ => match star {
                Some((at, took)) => {
                    star = Some((at, took + 1));
                    (g, n) = (at + 1, took + 1);
                }
                None => return false,
            },
        }
    }
    glob.get(g..).unwrap_or_default().iter().all(|c| *c == b'*')
}

pub(crate) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (glob, name) in [
            ("*", ""),
            ("*", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a?c", "abc"),
            ("a*b*c", "aXbYbc"),
            ("abc", "abc"),
        ] {
            assert!(matches(glob, name), "{glob} {name}");
        }
        for (glob, name) in
            [("", "a"), ("a", ""), ("a?", "a"), ("a*b", "abc"), ("?", "ab"), ("orders.*", "orders")]
        {
            assert!(!matches(glob, name), "{glob} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
    }
}
