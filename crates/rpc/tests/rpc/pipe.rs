//! A pipe in memory with a cutter between its ends, and a port that such pipes lead to. Its time is the runtime's, which may be
//! paused.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use carrick_rpc::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

/// What the pipe holds each way, as sockets and networks do.
const HELD_BYTES: usize = 256 << 10;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the dialler.
    Out = 0,
    /// To it.
    Back = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Both ends are told; what was delivered can be read.
    Reset,
    /// Both ends are told, and what was delivered and not read is gone.
    ResetAtOnce,
    /// The writer has ended, says the pipe; what it writes from here on is gone.
    Shut,
    /// Nothing more is delivered on this way, and nobody is told.
    Silent,
    /// The same on both ways.
    Dead,
    /// Nothing is delivered for so long, and then all of it.
    Stall(Duration),
}

/// A fault, once `after` bytes have passed on `way`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub way: Way,
    pub after: u64,
    pub fault: Fault,
}

#[derive(Default)]
struct Lane {
    held: VecDeque<u8>,
    passed: u64,
    ended: bool,
    reader_gone: bool,
    silent: bool,
    swallows: bool,
    until: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

#[derive(Default)]
struct State {
    lanes: [Lane; 2],
    cut: Option<Cut>,
    /// How many bytes had been delivered each way when the cut was made.
    made: Option<[u64; 2]>,
    reset: bool,
}

impl State {
    fn apply(&mut self, way: Way, fault: Fault) {
        self.made = Some(self.lanes.each_ref().map(|lane| lane.passed));
        match fault {
            Fault::Reset => self.reset = true,
            Fault::ResetAtOnce => {
                self.reset = true;
                self.lanes.iter_mut().for_each(|lane| lane.held.clear());
            }
            Fault::Shut => {
                let lane = &mut self.lanes[way as usize];
                (lane.ended, lane.swallows) = (true, true);
            }
            Fault::Silent => self.lanes[way as usize].silent = true,
            Fault::Dead => self.lanes.iter_mut().for_each(|lane| lane.silent = true),
            Fault::Stall(time) => self.lanes[way as usize].until = Some(Instant::now() + time),
        }
        self.lanes.iter_mut().for_each(Lane::wake);
    }
}

/// One end of a pipe.
pub struct End {
    state: Arc<Mutex<State>>,
    /// That it writes on.
    way: Way,
    waits: Option<Pin<Box<Sleep>>>,
}

/// The pipe itself, from beside.
#[derive(Clone)]
pub struct Cutter(Arc<Mutex<State>>);

impl Cutter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Now.
    pub fn cut(&self, way: Way, fault: Fault) {
        self.state().apply(way, fault);
    }

    /// Bytes that passed: out, back.
    pub fn passed(&self) -> [u64; 2] {
        self.state().lanes.each_ref().map(|lane| lane.passed)
    }

    /// What had passed when the cut was made, if it was.
    pub fn made(&self) -> Option<[u64; 2]> {
        self.state().made
    }
}

/// The dialler's end first.
pub fn pipe(cut: Option<Cut>) -> (End, End, Cutter) {
    let state = Arc::new(Mutex::new(State { cut, ..State::default() }));
    if let Some(Cut { way, after: 0, fault }) = cut {
        state.lock().unwrap().cut = None;
        state.lock().unwrap().apply(way, fault);
    }
    let end = |way| End { state: Arc::clone(&state), way, waits: None };
    (end(Way::Out), end(Way::Back), Cutter(Arc::clone(&state)))
}

fn gone() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut state = this.state.lock().unwrap();
        let reset = state.reset;
        let lane = &mut state.lanes[1 - this.way as usize];
        if let Some(until) = lane.until {
            let waits = this.waits.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if !reset && waits.as_mut().poll(cx).is_pending() {
                lane.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            this.waits = None;
            lane.until = None;
        }
        if lane.silent {
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if lane.held.is_empty() {
            if reset {
                return Poll::Ready(Err(gone()));
            }
            if lane.ended {
                return Poll::Ready(Ok(()));
            }
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (first, _) = lane.held.as_slices();
        let some = first.len().min(into.remaining());
        into.put_slice(&first[..some]);
        lane.held.drain(..some);
        lane.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock().unwrap();
        let cut = state.cut.filter(|cut| cut.way == self.way);
        let reset = state.reset;
        let lane = &mut state.lanes[self.way as usize];
        if reset {
            return Poll::Ready(Err(gone()));
        }
        if lane.reader_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if lane.swallows {
            return Poll::Ready(Ok(from.len()));
        }
        let room = HELD_BYTES - lane.held.len();
        if room == 0 {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = cut.map_or(u64::MAX, |cut| cut.after - lane.passed);
        let some = from.len().min(room).min(usize::try_from(before).unwrap_or(usize::MAX));
        lane.held.extend(&from[..some]);
        lane.passed += some as u64;
        lane.reader.take().into_iter().for_each(Waker::wake);
        if let Some(cut) = cut.filter(|cut| cut.after == lane.passed) {
            state.cut = None;
            state.apply(cut.way, cut.fault);
        }
        Poll::Ready(Ok(some))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lane = &mut self.state.lock().unwrap().lanes[self.way as usize];
        lane.ended = true;
        lane.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap();
        let own = &mut state.lanes[self.way as usize];
        own.ended = true;
        own.wake();
        // What tells the other end that nobody reads it goes the same way.
        let told = !own.silent;
        let others = &mut state.lanes[1 - self.way as usize];
        others.reader_gone |= told;
        others.wake();
    }
}

/// A port without a socket.
pub struct PipePort(tokio::sync::Mutex<mpsc::UnboundedReceiver<(End, SocketAddr)>>);

/// What leads to it.
#[derive(Clone)]
pub struct Road(mpsc::UnboundedSender<(End, SocketAddr)>);

pub fn port() -> (Road, PipePort) {
    let (sender, ends) = mpsc::unbounded_channel();
    (Road(sender), PipePort(tokio::sync::Mutex::new(ends)))
}

impl Road {
    /// A dialler's end that leads to the port.
    pub fn take(&self, cut: Option<Cut>) -> (End, Cutter) {
        self.take_from([10, 0, 0, 1], cut)
    }

    pub fn take_from(&self, host: [u8; 4], cut: Option<Cut>) -> (End, Cutter) {
        let (near, far, cutter) = pipe(cut);
        // To a port that is shut it leads nowhere.
        let _ = self.0.send((far, SocketAddr::from((host, 1))));
        (near, cutter)
    }
}

impl Listener for PipePort {
    type Stream = End;

    async fn accept(&self) -> io::Result<(End, SocketAddr)> {
        match self.0.lock().await.recv().await {
            Some(accepted) => Ok(accepted),
            None => std::future::pending().await,
        }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([10, 0, 0, 2], 9_590)))
    }

    fn prepare(_: &End) -> io::Result<()> {
        Ok(())
    }
}
