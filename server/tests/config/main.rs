//! The configuration: what is read, in which order, and what is said about what is wrong.

mod deploy;
mod docs;
mod layers;
mod limits;
mod mistakes;
mod sections;
mod support;
