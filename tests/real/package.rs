//! The Debian package as Debian's own checker, lintian, sees it.

use std::process::Command;

use crate::machine::newest_package;

#[test]
fn lintian_finds_nothing_wrong_with_the_package() {
    let package = newest_package();
    let (Some(package), Ok(_)) = (package, Command::new("lintian").arg("--version").output())
    else {
        support::skip("lintian and the package (made by .ci/package)");
        return;
    };
    let output = Command::new("lintian")
        .arg("--fail-on=error,warning")
        .arg(package)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
