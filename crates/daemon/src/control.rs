//! The control thread: it answers probes and collectors, and never touches the disk, so that a disk that hangs does not
//! make the node look dead.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use carrick_serve::{Eyes, HttpListener};
use tokio::sync::watch;
use tracing::error;

pub struct Control {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Answers from here on.
    pub fn start(listener: HttpListener, eyes: Arc<dyn Eyes>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = move || {
            if let Err(e) = runtime.block_on(listener.serve(eyes, stopped)) {
                error!(error = %e, "health and metrics are not served");
            }
        };
        let thread = std::thread::Builder::new().name("carrick-control".into()).spawn(serve)?;
        Ok(Self { stop, thread })
    }

    pub fn stop(self) {
        self.stop.send_replace(true);
        // A panic there was said there.
        let _ = self.thread.join();
    }
}
