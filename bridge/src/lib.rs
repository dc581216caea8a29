//! The server half of agentwire.
