//! The unix socket: its file's permissions are its guard.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

/// Why the socket is not there.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("another process answers on {}", path.display())]
    Answered { path: PathBuf },
    #[error("{} is there, and is not a socket", path.display())]
    NotSocket { path: PathBuf },
    #[error("the socket {} could not be made: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
}

/// A socket that its owner alone may open. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Takes the place of a socket on which nobody answers.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Socket { path: path.into(), source };
        match std::fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::NotSocket { path: path.into() });
            }
            Ok(_) => match UnixStream::connect(path).await {
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(failed)?;
                }
                Err(e) => return Err(failed(e)),
                Ok(_) => return Err(SocketError::Answered { path: path.into() }),
            },
        }
        let listener = listen(path).map_err(failed)?;
        Ok(Self { listener, path: path.into() })
    }
}

/// Linux makes the file with the mode that the socket has by then: there is no moment at which others could open it.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(128)?;
    UnixListener::from_std(socket.into())
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Gone already, if someone cleaned up; the next start replaces it otherwise.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn the_file_is_its_owners_alone_and_goes_away() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("admin.sock");
        let socket = AdminSocket::bind(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(AdminSocket::bind(&path).await, Err(SocketError::Answered { .. })));
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(AdminSocket::bind(&path).await.unwrap());
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(AdminSocket::bind(&path).await, Err(SocketError::NotSocket { .. })));
        let long = dir.path().join("x".repeat(120));
        assert!(matches!(AdminSocket::bind(&long).await, Err(SocketError::Socket { .. })));
    }
}
