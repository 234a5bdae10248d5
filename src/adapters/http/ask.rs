//! Asks a running process over HTTP why it waits.
//!
//! In: the address that a pipeline file lets it listen on. Out: what it says. Holds: it is waited for
//! two seconds at most; nothing but a `GET` is sent. Knows nothing of: what the answer means.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long it may take to connect, and to answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 16 << 20;

/// Returns what `/api/v1/why` says at the address.
///
/// # Errors
/// Text that says why there is no answer.
pub fn why(address: SocketAddr) -> Result<Value, String> {
    let answer = get(reachable(address), "/api/v1/why").map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer within {} s", DEADLINE.as_secs())
        }
        _ => error.to_string(),
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("what answers doesn't speak HTTP")?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("it answers with status {status}"));
    }
    serde_json::from_str(body).map_err(|_| "what answers isn't Parallax".to_owned())
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    // An HTTP/1.0 answer is whole when the connection ends.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Returns the address to ask: who listens everywhere is asked on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
