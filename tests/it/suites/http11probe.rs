//! The cases of Http11Probe (MDA2AV/Http11Probe), by its categories and under its names where they are known, their bytes written
//! afresh from RFC 9110 and 9112.
//!
//! Each goes to a route that streams and to one that validates. What is refused never reaches the app; what is served reaches it as
//! one request, plainly written; and what stands behind it on the connection is never read as part of it.

mod compliance;
mod cookies;
mod malformed;
mod normalization;
mod sequences;
mod smuggling;

use crate::ambiguity::case::{Case, Wanted};
use crate::ambiguity::hold;

#[tokio::test]
async fn smuggling() {
    hold(smuggling::all()).await;
}

#[tokio::test]
async fn malformed() {
    hold(malformed::all()).await;
}

#[tokio::test]
async fn compliance() {
    hold(compliance::all()).await;
}

#[tokio::test]
async fn normalization() {
    hold(normalization::all()).await;
}

#[tokio::test]
async fn cookies() {
    hold(cookies::all()).await;
}

/// It is refused with 400.
fn refused(name: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    Case::refused(bytes).with(&[400]).named(name)
}

/// It is served as this request.
fn served(name: &'static str, bytes: impl Into<Vec<u8>>, wanted: Wanted) -> Case {
    Case::is(bytes, wanted).named(name)
}

/// It is refused with 400, or served as this request and its connection closed.
fn closed(name: &'static str, bytes: impl Into<Vec<u8>>, wanted: Wanted) -> Case {
    Case::either(bytes, [wanted])
        .closes()
        .with(&[400])
        .named(name)
}
