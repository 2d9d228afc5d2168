//! `carrick journal`: what happened to the links, in order.

use carrick_proto::v1::{JournalEntry, ListJournalRequest};
use clap::Args;
use serde_json::{Value, json};

use crate::Global;
use crate::failure::Failure;
use crate::node::{ask, refused};
use crate::output::columns;

#[derive(Args)]
pub struct Arguments {
    /// Of one link.
    #[arg(long)]
    link: Option<String>,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let request = ListJournalRequest { link: arguments.link.clone().unwrap_or_default() };
    let asked = ask(global, async |mut client| client.list_journal(request).await)?;
    let entries = asked.map_err(|e| refused(&e, "carrick link list"))?.entries;
    global.output.show(
        || columns(["LINK", "NUMBER", "AT", "WHO", "WHAT"], entries.iter().map(row)),
        || json!(entries.iter().map(to_json).collect::<Vec<_>>()),
    )
}

fn row(it: &JournalEntry) -> [String; 5] {
    [it.link.clone(), it.number.to_string(), utc(it.at_ms), it.who.clone(), it.what.clone()]
}

fn to_json(it: &JournalEntry) -> Value {
    json!({ "link": it.link, "number": it.number, "at": utc(it.at_ms), "at_ms": it.at_ms, "who": it.who, "what": it.what })
}

/// Milliseconds since 1970 as a date of the Gregorian calendar and a time of day, UTC.
fn utc(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Years from March on, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", rest % 1_000)
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_shown_as_dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(utc(1_795_382_384_841), "2026-11-22T21:19:44.841Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59.999Z");
    }
}
