//! The container image, and sites that run from it, for tests: what an orchestrator does with them, and what it sees.
//!
//! **Place**: beside the layers, over `carrick-tests`. Knows Carrick by its image, and the engine by Docker's API.
//!
//! **Guarantees**: the image is made of the Dockerfile and the sources that are there; no container, volume or network outlives the
//! test that made it, and the image only one that failed; what a site said is printed then.
//!
//! **Environment**: an engine, at `DOCKER_HOST` or Docker's own socket, that has the base image or can fetch it. Without an engine
//! a test skips itself.
//!
//! **Limits**: the engine runs on this machine: settings and keys are mounted. Commands run in containers of their own, beside a
//! site and with its volume: not every engine that these tests meet can run a command in a container that runs.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness for tests: it touches files and sockets, and ends the test at the first surprise"
)]

mod image;
mod site;

pub use image::{Image, Ran};
pub use site::{Site, Sites};
