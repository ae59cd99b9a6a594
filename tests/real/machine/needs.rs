//! What a machine takes: programs, a Debian, and the package that is installed on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package, if there is all that a machine needs. If not, that is said loudly; where `UNDERSTUDY_REAL` is `required`, it fails.
pub(super) fn package() -> Option<PathBuf> {
    let package = std::env::var_os("UNDERSTUDY_DEB").map(PathBuf::from);
    let package = package
        .or_else(newest_package)
        .filter(|path| path.is_file());
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let needed = [
        (is_root(), "root"),
        (
            has("systemd-nspawn"),
            "systemd-nspawn (Debian's package systemd-container)",
        ),
        (
            ["nsenter", "setpriv", "unshare"]
                .iter()
                .all(|program| has(program)),
            "nsenter, setpriv and unshare (util-linux)",
        ),
        (base().is_dir(), "a Debian to boot (made by .ci/machine)"),
        (
            package.is_some(),
            "the package (made by .ci/package, or named by UNDERSTUDY_DEB)",
        ),
    ];
    let missing: Vec<_> = needed
        .iter()
        .filter(|(there, _)| !there)
        .map(|(_, what)| *what)
        .collect();
    if missing.is_empty() {
        return package;
    }
    support::skip(&missing.join(", "));
    None
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Where cargo puts what it makes.
fn target() -> &'static Path {
    let binary = Path::new(env!("CARGO_BIN_EXE_understudy"));
    binary.ancestors().nth(2).expect("target/debug/understudy")
}

/// The Debian that is booted.
pub(super) fn base() -> PathBuf {
    target().join("real/machine")
}

/// The package that was made last.
pub(crate) fn newest_package() -> Option<PathBuf> {
    newest("debian", "deb")
}

/// The newest file of this kind in a folder of the target folder.
pub(crate) fn newest(folder: &str, kind: &str) -> Option<PathBuf> {
    let all = fs::read_dir(target().join(folder)).ok()?.flatten();
    let packages = all.map(|entry| entry.path());
    packages
        .filter(|path| path.extension().is_some_and(|extension| extension == kind))
        .max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok())
}
