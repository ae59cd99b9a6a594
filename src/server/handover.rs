//! An upgrade in place: a process starts another one, which may be a newer version, and passes it its listening sockets, so that at
//! no time nobody accepts. The new one says when it is ready; if it ends before, the old one just goes on.
//!
//! The two speak over the new one's standard input, a Unix socket. The old one sends each listening socket with a line that says
//! what it is for, then an empty line; the new one says when it accepts requests; the old one says when the service manager knows
//! of that; and the new one says when it ends in good order.
//!
//! The new process is not a child of the old one: a starter in between ends at once. So it becomes a child of the service manager,
//! and systemd waits for its end as for any other's. It would kill a main process that is not its child without waiting.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, Signal, kill_process};

/// Says to the new process who has started it.
const PREDECESSOR_PID: &str = "UNDERSTUDY_PREDECESSOR_PID";

/// Set for the starter alone.
const STARTER: &str = "UNDERSTUDY_STARTER";

/// How long the new process may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the old process may take to say that the service manager knows of the new one.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest line that comes with a socket.
const LINE_LIMIT: usize = 256;

const READY: &[u8] = b"ready";
const GOODBYE: &[u8] = b"goodbye";

/// What a listening socket is for, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A public socket that systemd listens on.
    SystemdPublic,
    /// The admin listener's socket that systemd listens on.
    SystemdAdmin,
    /// A public socket of our own, for this address of the configuration.
    Public(SocketAddr),
    /// The admin listener's own socket, for this address of the configuration.
    Admin(SocketAddr),
}

impl Purpose {
    fn to_line(&self) -> String {
        match self {
            Self::SystemdPublic => "systemd-public".to_owned(),
            Self::SystemdAdmin => "systemd-admin".to_owned(),
            Self::Public(address) => format!("public {address}"),
            Self::Admin(address) => format!("admin {address}"),
        }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        match line.split_once(' ') {
            None if line == "systemd-public" => Some(Self::SystemdPublic),
            None if line == "systemd-admin" => Some(Self::SystemdAdmin),
            Some(("public", address)) => address.parse().ok().map(Self::Public),
            Some(("admin", address)) => address.parse().ok().map(Self::Admin),
            Some(_) | None => None,
        }
    }
}

/// A listening socket that is passed on.
#[derive(Debug)]
pub struct PassedSocket {
    /// What it is for.
    pub purpose: Purpose,
    /// The socket.
    pub socket: TcpListener,
}

/// The new process, as the old one sees it.
#[derive(Debug)]
pub struct Successor {
    pid: Pid,
    channel: OwnedFd,
}

impl Successor {
    /// Starts this binary with these arguments, and passes it the sockets. Blocks until it is a process of its own.
    ///
    /// # Errors
    ///
    /// If it can't be started, or ends before it has the sockets.
    pub fn start(
        binary: &Path,
        arguments: impl Iterator<Item = OsString>,
        sockets: &[PassedSocket],
    ) -> io::Result<Self> {
        let family = AddressFamily::UNIX;
        let (channel, theirs) =
            socketpair(family, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut starter = Command::new(binary)
            .args(arguments)
            .env(PREDECESSOR_PID, std::process::id().to_string())
            .env(STARTER, "1")
            // The sockets come over the channel, and the watchdog is for whichever process is the main one.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(theirs))
            .spawn()?;
        starter.wait()?;
        set_socket_timeout(&channel, Timeout::Recv, Some(START_TIMEOUT))?;
        let (line, _) = receive(&channel)?;
        let pid = str::from_utf8(&line).ok().and_then(|pid| pid.parse().ok());
        let pid = pid.and_then(Pid::from_raw).ok_or_else(ended_early)?;
        let successor = Self { pid, channel };
        match successor.pass(sockets) {
            Ok(()) => Ok(successor),
            Err(error) => {
                successor.kill();
                Err(match is_closed(&error) {
                    true => ended_early(),
                    false => error,
                })
            }
        }
    }

    fn pass(&self, sockets: &[PassedSocket]) -> io::Result<()> {
        for PassedSocket { purpose, socket } in sockets {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let fds = [socket.as_fd()];
            if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
                return Err(io::Error::other("no space for a file descriptor"));
            }
            send(&self.channel, purpose.to_line().as_bytes(), &mut control)?;
        }
        send(&self.channel, b"\n", &mut SendAncillaryBuffer::default())
    }

    /// Waits until it accepts requests. Blocks.
    ///
    /// # Errors
    ///
    /// If it ends before, or isn't ready within a minute.
    pub fn wait_until_ready(channel: &OwnedFd) -> io::Result<()> {
        set_socket_timeout(channel, Timeout::Recv, Some(START_TIMEOUT))?;
        match receive(channel) {
            Ok((line, _)) if line == READY => Ok(()),
            Ok(_) => Err(ended_early()),
            Err(error) if is_closed(&error) => Err(ended_early()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::other(
                "the new process was not ready within a minute",
            )),
            Err(error) => Err(error),
        }
    }

    /// A handle for [`Self::wait_until_ready`] and [`Self::wait_until_ended`].
    ///
    /// # Errors
    ///
    /// If there are no file descriptors left.
    pub fn channel(&self) -> io::Result<OwnedFd> {
        self.channel.try_clone()
    }

    /// Says to it that the service manager knows of it.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn acknowledge(&self) -> io::Result<()> {
        send(&self.channel, READY, &mut SendAncillaryBuffer::default())
    }

    /// Waits until it has ended. Returns whether it did so in good order. Blocks.
    pub fn wait_until_ended(channel: &OwnedFd) -> bool {
        let waited = set_socket_timeout(channel, Timeout::Recv, None);
        let received = waited.map_err(Into::into).and_then(|()| receive(channel));
        received.is_ok_and(|(line, _)| line == GOODBYE)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Ends it at once.
    pub fn kill(&self) {
        // It may have ended by itself.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

/// The old process, as the new one sees it.
#[derive(Debug)]
pub struct Predecessor(());

impl Predecessor {
    /// The process that has started this one for an upgrade, if there is one.
    pub fn from_environment() -> Option<Self> {
        let pid: i32 = std::env::var(PREDECESSOR_PID).ok()?.parse().ok()?;
        let peer = socket_peercred(io::stdin()).ok()?;
        (peer.pid.as_raw_nonzero().get() == pid).then_some(Self(()))
    }

    /// Receives its listening sockets. Blocks; to be called once.
    ///
    /// # Errors
    ///
    /// If it has ended, or what it sends is not understood.
    pub fn receive(&self) -> io::Result<Vec<PassedSocket>> {
        let mut sockets = Vec::new();
        loop {
            let (line, socket) = receive(io::stdin())?;
            if line == b"\n" {
                return Ok(sockets);
            }
            let (Some(purpose), Some(socket)) = (Purpose::parse(&line), socket) else {
                return Err(io::Error::other(
                    "the process before sent a socket that is not understood",
                ));
            };
            let socket = TcpListener::from(socket);
            sockets.push(PassedSocket { purpose, socket });
        }
    }

    /// Says to it that this process accepts requests, and waits until the service manager knows that too.
    ///
    /// # Errors
    ///
    /// If it has ended, or has given up.
    pub fn report_ready(&self) -> io::Result<()> {
        set_socket_timeout(io::stdin(), Timeout::Recv, Some(ACKNOWLEDGE_TIMEOUT))?;
        send(io::stdin(), READY, &mut SendAncillaryBuffer::default())?;
        match receive(io::stdin())? {
            (line, _) if line == READY => Ok(()),
            _ => Err(io::Error::other("the process before has ended")),
        }
    }

    /// Says to it that this process ends in good order.
    pub fn say_goodbye(&self) {
        // It may have ended before.
        let _ = send(io::stdin(), GOODBYE, &mut SendAncillaryBuffer::default());
    }

    fn start_new_process(&self) -> io::Result<()> {
        let new = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env_remove(STARTER)
            .spawn()?;
        let pid = new.id().to_string();
        send(
            io::stdin(),
            pid.as_bytes(),
            &mut SendAncillaryBuffer::default(),
        )
    }
}

/// If this process is only the starter of an upgrade: starts the new process, and says which one it is.
///
/// # Errors
///
/// If it can't be started.
pub fn start_if_starter() -> Option<io::Result<()>> {
    std::env::var_os(STARTER)?;
    let predecessor = Predecessor::from_environment()?;
    Some(predecessor.start_new_process())
}

fn send(
    channel: impl AsFd,
    line: &[u8],
    control: &mut SendAncillaryBuffer<'_, '_, '_>,
) -> io::Result<()> {
    sendmsg(channel, &[IoSlice::new(line)], control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next line, with the socket that came with it. The line is empty if the other process has ended.
fn receive(channel: impl AsFd) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut line = [0; LINE_LIMIT];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut line)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = recvmsg(channel, &mut buffers, &mut control, flags)?.bytes;
    let socket = control.drain().find_map(|message| {
        let RecvAncillaryMessage::ScmRights(mut sockets) = message else {
            return None;
        };
        sockets.next()
    });
    Ok((line[..length].to_vec(), socket))
}

/// Whether the other process has ended.
fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

fn ended_early() -> io::Error {
    io::Error::other("the new process ended before it was ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_is_understood() {
        let address = "127.0.0.1:0".parse().unwrap();
        for purpose in [
            Purpose::SystemdPublic,
            Purpose::SystemdAdmin,
            Purpose::Public(address),
            Purpose::Admin("[::1]:9464".parse().unwrap()),
        ] {
            let line = purpose.to_line();
            assert_eq!(Purpose::parse(line.as_bytes()), Some(purpose));
        }
        for line in ["", "public", "public x", "systemd-public 1", "other"] {
            assert_eq!(Purpose::parse(line.as_bytes()), None);
        }
    }
}
