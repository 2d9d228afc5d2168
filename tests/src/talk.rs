//! A script that answers questions for as long as a test has some: what would cost a process each is a line each.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use crate::{Program, Python, Running};

const PATIENCE: Duration = Duration::from_secs(60);

/// A script that reads a list of JSON per line, and answers each with a line: `{"told": ..}` or `{"failed": ".."}`.
pub struct Talk {
    running: Running,
    questions: ChildStdin,
    answers: Receiver<String>,
}

impl Talk {
    /// Somebody who looks into nodes: `clients/look.py`.
    pub fn look(python: &Python) -> Self {
        Self::start(python.script("clients/look.py"))
    }

    pub fn start(program: Program) -> Self {
        let (running, questions, said) = program.converse();
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            BufReader::new(said).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Self { running, questions, answers }
    }

    /// The answer, or why there is none.
    ///
    /// # Panics
    /// If the script does not answer at all.
    pub fn try_ask(&mut self, question: &[&str]) -> Result<Value, String> {
        if let Err(e) = writeln!(self.questions, "{}", Value::from(question)) {
            panic!("{question:?}: {e}: {}", self.running.said().1);
        }
        let line = match self.answers.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("{question:?}: no answer in {}s", PATIENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => panic!("{question:?}: {}", self.running.said().1),
        };
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        match answer["failed"].as_str() {
            Some(why) => Err(why.to_owned()),
            None => Ok(answer["told"].take()),
        }
    }

    /// # Panics
    /// If the answer is that it failed.
    pub fn ask(&mut self, question: &[&str]) -> Value {
        self.try_ask(question).unwrap_or_else(|why| panic!("{question:?}: {why}"))
    }
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talk").field("running", &self.running).finish_non_exhaustive()
    }
}
