//! The codec against a foreign one, against itself, and against bytes that mean harm.

#[cfg(test)]
#[path = "../../../../tests/campaign/cases.rs"]
mod cases;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod draw;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lengths;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod ranges;
#[cfg(test)]
mod round_trip;
