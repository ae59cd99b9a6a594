//! The packages as the checkers of their distributions see them, and as they are installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::machine::{newest, newest_package};

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

/// The newest glibc that the oldest supported system has: that of RHEL 9.
const NEWEST_GLIBC: (u32, u32) = (2, 34);

/// The RPM package, where it can be looked at.
fn rpm() -> Option<PathBuf> {
    let package = newest("generate-rpm", "rpm");
    let programs = ["rpm", "rpm2cpio", "cpio", "rpmlint"];
    let has = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    if package.is_none() || !programs.iter().all(has) {
        support::skip("rpm, cpio, rpmlint and the package (made by .ci/package)");
        return None;
    }
    package
}

fn ask(package: &Path, question: &str) -> String {
    let mut command = Command::new("rpm");
    let output = command.args(["-qp", question]).arg(package).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn rpmlint_finds_nothing_wrong_with_the_rpm_package() {
    let Some(package) = rpm() else { return };
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config/packaging/rpmlint.toml");
    let output = Command::new("rpmlint")
        .args(["--strict", "--config", config])
        .arg(package)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_rpm_package_has_what_the_debian_one_has_and_keeps_the_configuration_on_upgrade() {
    let Some(package) = rpm() else { return };
    let files = ask(&package, "--list");
    for file in [
        "/usr/bin/understudy",
        "/usr/lib/systemd/system/understudy.service",
        "/usr/lib/systemd/system/understudy.socket",
        "/usr/share/man/man1/understudy-run.1",
        "/usr/share/doc/understudy/README.md",
        "/usr/share/doc/understudy/docs/operations.md",
        "/usr/share/doc/understudy/examples/understudy.toml",
        "/usr/share/doc/understudy/examples/grafana/understudy.json",
        "/usr/share/licenses/understudy/LICENSE",
        "/usr/share/bash-completion/completions/understudy",
    ] {
        assert!(
            files.lines().any(|line| line == file),
            "{file} is not in\n{files}"
        );
    }
    let kept = ask(&package, "--configfiles");
    for file in ["understudy.toml", "fallback/voice.en.xml"] {
        assert!(kept.contains(&format!("/etc/understudy/{file}")), "{kept}");
    }
    // 16 is RPMFILE_NOREPLACE, and 1 is RPMFILE_CONFIG.
    let flags = ask(&package, "--queryformat=[%{FILENAMES} %{FILEFLAGS}\\n]");
    assert!(
        flags.contains("/etc/understudy/understudy.toml 17\n"),
        "{flags}"
    );
}

#[test]
fn the_rpm_package_needs_no_newer_glibc_than_that_of_rhel_9() {
    let Some(package) = rpm() else { return };
    let needed = ask(&package, "--requires");
    let versions = needed.lines().filter_map(|line| {
        let version = line.strip_prefix("libc.so.6(GLIBC_")?.split(')').next()?;
        let mut numbers = version.split('.').map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    let newest = versions.max().expect("it needs glibc");
    assert!(newest <= NEWEST_GLIBC, "{needed}");
}

#[test]
fn the_binary_of_the_rpm_package_reads_the_configuration_beside_it() {
    let Some(package) = rpm() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut unpacking = Command::new("rpm2cpio")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let archive = unpacking.stdout.take().expect("a pipe");
    let unpacked = Command::new("cpio")
        .args(["--extract", "--make-directories", "--quiet"])
        .stdin(archive)
        .current_dir(&folder)
        .status();
    assert!(unpacked.is_ok_and(|status| status.success()));
    // cpio may leave before the padding at the end.
    let _ = unpacking.wait();
    let check = Command::new(folder.path().join("usr/bin/understudy"))
        .args(["check", "--config"])
        .arg(folder.path().join("etc/understudy/understudy.toml"))
        .output()
        .expect("it runs");
    assert!(check.status.success(), "{check:?}");
}
