//! The control thread: it answers probes, collectors and the operator, tells the service manager that the node is alive, and never touches
//! the disk, so that a disk that hangs does not make the node look dead.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use carrick_serve::{Eyes, HttpListener};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::error;

use crate::systemd;

pub struct Control {
    /// Where to spawn what must be answered whatever the disk does.
    pub handle: Handle,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Answers from here on, if there is a listener, and says so often that the node is alive, if somebody waits for that.
    pub fn start(
        listener: Option<HttpListener>,
        eyes: Arc<dyn Eyes>,
        alive_every: Option<Duration>,
    ) -> io::Result<Self> {
        let (stop, mut stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let run = async move {
            if let Some(every) = alive_every {
                tokio::spawn(systemd::keep_alive(Arc::clone(&eyes), every));
            }
            if let Some(listener) = listener
                && let Err(e) = listener.serve(eyes, stopped.clone()).await
            {
                error!(error = %e, "health and metrics are not served");
            }
            // Gone is as good as told.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let name = "carrick-control".into();
        let thread = std::thread::Builder::new().name(name).spawn(move || runtime.block_on(run))?;
        Ok(Self { handle, stop, thread })
    }

    pub fn stop(self) {
        self.stop.send_replace(true);
        // A panic there was said there.
        let _ = self.thread.join();
    }
}
