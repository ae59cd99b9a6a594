//! The real binary before real neighbours.

fn main() {}
