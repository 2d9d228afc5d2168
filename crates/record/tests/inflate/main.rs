//! A lookup by time in bodies of all codecs: exact on what clients and encoders write, bounded on anything.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod bombs;
#[cfg(test)]
#[path = "../../../../tests/campaign/cases.rs"]
mod cases;
#[cfg(test)]
#[path = "../../../wire/tests/codec/counting.rs"]
mod counting;
#[cfg(test)]
mod exact;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
