//! A door for the fuzz targets (feature `__fuzz`). It may disappear at any time.

use crate::wire::{self, ClientFrame};

/// A frame of a page, as the bridge understands it.
#[derive(Debug, PartialEq)]
pub struct Frame(ClientFrame);

/// Reads a frame of a page; `None` is one of an unknown type.
///
/// # Errors
///
/// Says why the frame is malformed (GEN-4).
pub fn decode(text: &str) -> Result<Option<Frame>, String> {
    let mut frame = wire::decode(text).map_err(|error| error.to_string())?;
    if let Some(ClientFrame::Ack { offsets }) = &mut frame {
        // The order of an object's members says nothing.
        offsets.sort_unstable();
    }
    Ok(frame.map(Frame))
}
