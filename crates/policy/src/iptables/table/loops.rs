//! Jumps that lead back to their own chain. The kernel refuses a table in which a packet could run in circles.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Source};
use crate::iptables::rule::Span;
use crate::ruleset::ChainId;

/// Reports every jump that closes a loop. (The kernel looks only where a packet can get to; a loop elsewhere is refused here
/// too, since every backend would have to know that it is never entered.)
pub(super) fn refuse(
    jumps: &[(ChainId, ChainId, Span)],
    names: &[String],
    source: &Arc<Source>,
    errors: &mut Vec<Diagnostic>,
) {
    let mut left: Vec<&(ChainId, ChainId, Span)> = jumps.iter().collect();
    // Take away chains that jump nowhere until nothing changes; what is left runs in circles or into one.
    loop {
        let before = left.len();
        let from: Vec<ChainId> = left.iter().map(|(from, _, _)| *from).collect();
        left.retain(|(_, to, _)| from.contains(to));
        if left.len() == before {
            break;
        }
    }
    // The same from the other end: chains that nothing in a circle jumps to are only on the way in.
    loop {
        let before = left.len();
        let to: Vec<ChainId> = left.iter().map(|(_, to, _)| *to).collect();
        left.retain(|(from, _, _)| to.contains(from));
        if left.len() == before {
            break;
        }
    }
    let name = |id: &ChainId| names.get(id.0).map_or("?", String::as_str);
    for (from, to, span) in left {
        let message = format!("chain `{}` and chain `{}` form a loop", name(from), name(to));
        let message = if from == to { format!("chain `{}` jumps to itself", name(from)) } else { message };
        errors.push(
            Diagnostic::new(source, span.clone(), message)
                .with_help("the kernel refuses such a table; end the chain with RETURN or a verdict"),
        );
    }
}
