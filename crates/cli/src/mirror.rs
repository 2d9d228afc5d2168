//! `carrick mirror ...`

mod create;
mod list;

use clap::Subcommand;

use crate::Global;
use crate::failure::Failure;

#[derive(Subcommand)]
pub enum Verb {
    /// Mirror topics of a link's source.
    Create(create::Arguments),
    /// Show the mirrors, a line for each partition.
    List(list::Arguments),
}

impl Verb {
    pub fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Create(arguments) => create::run(global, &arguments),
            Self::List(arguments) => list::run(global, &arguments),
        }
    }
}
