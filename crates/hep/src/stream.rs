//! Packets out of a TCP connection.

use crate::decode::claimed_length;
use crate::{Error, HEAD};

/// What of a packet has come so far: 64 KiB at most, as its length has no room for more.
#[derive(Debug, Default)]
pub struct Stream {
    held: Vec<u8>,
}

impl Stream {
    /// Takes bytes off `input` up to the end of a packet, which it returns. `None`: all was taken.
    ///
    /// # Errors
    /// Once something is no packet, it is not known where the next one begins, so the connection is of no more use.
    pub fn take(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let wanted = match claimed_length(&self.held)? {
                Some(length) if self.held.len() >= length => return Ok(Some(std::mem::take(&mut self.held))),
                Some(length) => length,
                None => HEAD,
            };
            if input.is_empty() {
                return Ok(None);
            }
            let count = (wanted - self.held.len().min(wanted)).min(input.len());
            let (taken, rest) = input.split_at_checked(count).unwrap_or((input, &[]));
            self.held.extend(taken);
            *input = rest;
        }
    }
}
