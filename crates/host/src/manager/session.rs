//! One connection, from connecting to its end.

use std::io;
use std::time::Duration;

use ::manager::{Counts, Error, Output, Session};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Config, End, State, Teller};

/// For connecting, for the handshake of TLS, and for the server to take what is sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Returns when there is no connection any more.
pub(super) async fn run(config: &Config, teller: &Teller) -> End {
    let ended = match connect(config).await {
        Ok(stream) => talk(config, stream, teller).await,
        Err(end) => Err(end),
    };
    match ended {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn connect(config: &Config) -> Result<Box<dyn Stream>, End> {
    let address = config.address;
    let tcp = match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(lost(format!(
                "nobody listens at {address}: is the server up, and its manager enabled?"
            )));
        }
        Ok(Err(error)) => return Err(lost(format!("cannot connect to {address}: {error}"))),
        Err(_) => return Err(lost(format!("{address} did not answer within {} s", PATIENCE.as_secs()))),
    };
    tcp.set_nodelay(true).ok();
    let Some(tls) = &config.tls else { return Ok(Box::new(tcp)) };
    match timeout(PATIENCE, tls.connect(tcp)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        // What is wrong with TLS itself, a certificate or a plain server, does not get better by waiting.
        Ok(Err(error)) => Err(End {
            is_lasting: error.kind() == io::ErrorKind::InvalidData,
            reason: format!("TLS with {address}: {error}"),
        }),
        Err(_) => Err(lost(format!(
            "{address} did not begin TLS within {} s; does it speak it?",
            PATIENCE.as_secs()
        ))),
    }
}

async fn talk(
    config: &Config,
    mut stream: Box<dyn Stream>,
    teller: &Teller,
) -> Result<std::convert::Infallible, End> {
    let began = Instant::now();
    let mut session = Session::new(config.login.clone(), Duration::ZERO).map_err(|error| over(&error))?;
    let mut told = Counts::default();
    let mut piece = vec![0; PIECE];
    loop {
        let read = timeout_at(began + session.poll_timeout(), stream.read(&mut piece)).await;
        let now = began.elapsed();
        let went = match read {
            Err(_) => session.handle_timeout(now),
            Ok(Ok(0)) => Err(Error::Closed { said: None }),
            // Who sends without end must answer in time all the same.
            Ok(Ok(count)) => session
                .receive(piece.get(..count).unwrap_or_default(), now)
                .and_then(|()| session.handle_timeout(now)),
            Ok(Err(error)) => return Err(lost(format!("the connection broke: {error}"))),
        };
        while let Some(output) = session.next_output() {
            match output {
                Output::Event(event) => teller.event(event),
                Output::Ready { version } => teller.state(State::Connected { version }),
                Output::Send(bytes) => send(&mut stream, &bytes).await?,
            }
        }
        let counts = session.counts();
        if counts != told {
            teller.change(|status| {
                status.counts.cut += counts.cut - told.cut;
                status.counts.doubtful += counts.doubtful - told.doubtful;
                status.counts.stray += counts.stray - told.stray;
            });
            told = counts;
        }
        went.map_err(|error| over(&error))?;
        // Others have a turn, however much there is to read.
        tokio::task::yield_now().await;
    }
}

async fn send(stream: &mut Box<dyn Stream>, bytes: &[u8]) -> Result<(), End> {
    let sent = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    match timeout(PATIENCE, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(lost(format!("the connection broke: {error}"))),
        Err(_) => Err(lost(format!("took nothing for {} s", PATIENCE.as_secs()))),
    }
}

fn over(error: &Error) -> End {
    End { is_lasting: error.is_lasting(), reason: error.to_string() }
}

fn lost(reason: String) -> End {
    End { is_lasting: false, reason }
}
