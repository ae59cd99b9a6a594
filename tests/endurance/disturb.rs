//! What happens to understudy and to the apps while requests run: reloads, restarts, upgrades, drills, shortage; apps that are
//! killed, stopped or gone. Which comes when is a function of the seed; each is announced to the accountant before it begins.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::time::sleep;

use crate::app::Apps;
use crate::audit::Auditor;
use crate::client::World;
use crate::instance::{Instance, POLL_INTERVAL, signal};
use crate::plan::{DEADLINE, Door, Random};
use crate::windows::What;

/// Something that is done to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A good configuration, taken up by the admin listener.
    Reload,
    /// A good configuration, taken up because the file has changed.
    Change,
    /// A configuration that is not valid.
    Invalid,
    /// A file that is written in two parts, with a reload in between.
    HalfWritten,
    Certificate,
    Tokens,
    Drill,
    Restart,
    Upgrade,
    /// An upgrade to a configuration that is not valid.
    FailedUpgrade,
    /// No descriptors are left.
    Starve,
    /// Everything is counted, and nothing may have leaked.
    Audit,
}

/// Something that is done to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppAction {
    Kill,
    Stop,
    SocketGone,
    HangUp,
}

/// How often each thing is done.
#[derive(Clone, Debug)]
pub(crate) struct Quotas {
    pub(crate) reloads: u64,
    pub(crate) restarts: u64,
    pub(crate) upgrades: u64,
    pub(crate) kills: u64,
    pub(crate) audits: u64,
}

impl Quotas {
    /// What is done to one of two instances, in its order.
    pub(crate) fn actions(&self, door: Door, random: &mut Random) -> Vec<Action> {
        let half = |all: u64| match door {
            Door::Plain => all - all / 2,
            Door::Tls => all / 2,
        };
        let reloads = half(self.reloads);
        let mut actions = Vec::new();
        let mut add = |action, many: u64| {
            actions.extend(std::iter::repeat_n(action, many as usize));
        };
        add(Action::Reload, reloads - reloads / 4 - reloads / 4);
        add(Action::Change, reloads / 4);
        add(Action::Invalid, reloads / 8);
        add(Action::HalfWritten, reloads / 4 - reloads / 8);
        add(Action::Tokens, reloads.div_ceil(20));
        if door == Door::Tls {
            add(Action::Certificate, reloads.div_ceil(5));
        }
        add(Action::Drill, reloads.div_ceil(10));
        add(Action::Restart, half(self.restarts));
        add(Action::Upgrade, half(self.upgrades));
        add(Action::FailedUpgrade, half(self.upgrades).div_ceil(10));
        add(Action::Starve, reloads.div_ceil(20));
        shuffle(&mut actions, random);
        // Audits come at equal distances: what happens between two of them is what they tell of.
        let audits = self.audits as usize;
        for audit in (0..audits).rev() {
            actions.insert(actions.len() * audit / audits.max(1), Action::Audit);
        }
        actions
    }

    pub(crate) fn app_actions(&self, random: &mut Random) -> Vec<AppAction> {
        let mut actions = Vec::new();
        for (action, many) in [
            (AppAction::Kill, self.kills),
            (AppAction::Stop, self.kills.div_ceil(2)),
            (AppAction::SocketGone, self.kills.div_ceil(2)),
            (AppAction::HangUp, self.kills.div_ceil(2)),
        ] {
            actions.extend(std::iter::repeat_n(action, many as usize));
        }
        shuffle(&mut actions, random);
        actions
    }
}

fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for at in (1..list.len()).rev() {
        list.swap(at, random.below(at as u64 + 1) as usize);
    }
}

/// Disturbs one instance.
pub(crate) struct Disturber<'a> {
    pub(crate) world: &'a World,
    pub(crate) instance: Arc<Instance>,
    pub(crate) auditor: Auditor,
    pub(crate) random: Random,
}

impl Disturber<'_> {
    /// Does one thing, and tells the accountant if that didn't go as it should.
    pub(crate) async fn act(&mut self, action: Action) {
        let result = match action {
            Action::Reload => self.reload().await,
            Action::Change => self.change().await,
            Action::Invalid => self.invalid().await,
            Action::HalfWritten => self.half_written().await,
            Action::Certificate => self.certificate().await,
            Action::Tokens => self.tokens().await,
            Action::Drill => self.drill().await,
            Action::Restart => self.restart().await,
            Action::Upgrade => self.upgrade().await,
            Action::FailedUpgrade => self.failed_upgrade().await,
            Action::Starve => self.starve().await,
            Action::Audit => self.auditor.audit(self.world, &self.instance).await,
        };
        if let Err(problem) = result {
            let door = self.instance.door;
            let problem = format!("{action:?} of the {door:?} instance: {problem}");
            self.world.accountant.tell(&problem, None);
        }
    }

    async fn ask_for_reload(&self, succeeds: bool) -> Result<(), String> {
        let (status, body) = self.instance.admin("POST", "/api/reload", "").await?;
        match (status == 200) == succeeds {
            true => Ok(()),
            false => Err(format!("a reload got {status}: {body}")),
        }
    }

    async fn reload(&self) -> Result<(), String> {
        let edition = self.instance.write_config();
        self.ask_for_reload(true).await?;
        self.instance.confirm(edition);
        Ok(())
    }

    async fn change(&self) -> Result<(), String> {
        let edition = self.instance.write_config();
        let changed = async {
            loop {
                let (_, text) = self.instance.admin("GET", "/api/status", "").await?;
                // The status says nothing of the edition; a reload that was asked for would hide that nothing was noticed.
                let metrics = self.instance.metrics().await?;
                let last = "understudy_config_last_reload_success_timestamp_seconds";
                let file = std::fs::metadata(self.instance.path("understudy.toml"));
                let written = file
                    .and_then(|file| file.modified())
                    .map_err(|error| error.to_string())?;
                let written = written
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_err(|error| error.to_string())?;
                if metrics.sum(last, &[]) >= written.as_secs_f64() && !text.is_empty() {
                    return Ok::<_, String>(());
                }
                sleep(POLL_INTERVAL * 4).await;
            }
        };
        let limit = Duration::from_secs(20);
        match tokio::time::timeout(limit, changed).await {
            Ok(changed) => changed?,
            Err(_) => return Err(format!("a changed file was not taken up in {limit:?}")),
        }
        // That may have been a reload, for another file, which read this one before it was written. The next one reads it surely.
        self.ask_for_reload(true).await?;
        self.instance.confirm(edition);
        Ok(())
    }

    fn invalid_config(&mut self) -> String {
        let good = self.instance.present_config();
        match self.random.below(4) {
            0 => good.replace("[defaults]", "[defaults"),
            1 => good.replace("access_log = true", "access_log = true\nunheard_of = 1"),
            2 => good.replace("<Response>", "<response>"),
            _ => String::new(),
        }
    }

    async fn invalid(&mut self) -> Result<(), String> {
        let invalid = self.invalid_config();
        self.instance.replace("understudy.toml", invalid);
        self.ask_for_reload(false).await?;
        self.back_to_good().await
    }

    async fn back_to_good(&self) -> Result<(), String> {
        let good = self.instance.present_config();
        self.instance.replace("understudy.toml", good);
        self.ask_for_reload(true).await
    }

    async fn half_written(&mut self) -> Result<(), String> {
        let (edition, text) = self.instance.next_config();
        // Within a string, so that what stands there is not valid by chance.
        let half = text.len() / 4 + self.random.below(text.len() as u64 / 2) as usize;
        let key = text[half..].find("name = \"").expect("there are routes") + half;
        let (first, second) = text.split_at(key + "name = \"x".len());
        let write = |error: std::io::Error| error.to_string();
        let mut file = OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.instance.path("understudy.toml"))
            .map_err(write)?;
        file.write_all(first.as_bytes()).map_err(write)?;
        self.ask_for_reload(false).await?;
        sleep(Duration::from_millis(self.random.below(100))).await;
        file.write_all(second.as_bytes()).map_err(write)?;
        drop::<File>(file);
        self.ask_for_reload(true).await?;
        self.instance.confirm(edition);
        Ok(())
    }

    async fn certificate(&self) -> Result<(), String> {
        self.instance.write_certificate();
        self.ask_for_reload(true).await
    }

    /// As `docs` say it: both are written, the new one is made active, the old one is removed.
    async fn tokens(&mut self) -> Result<(), String> {
        let old = self.instance.token();
        let new = format!("token-{}", self.random.next());
        self.instance.write_tokens(&[&old, &new]);
        self.ask_for_reload(true).await?;
        self.instance.set_token(&new);
        // What was signed before is on its way for no longer than that.
        sleep(DEADLINE * 3).await;
        self.instance.write_tokens(&[&new]);
        self.ask_for_reload(true).await
    }

    async fn drill(&mut self) -> Result<(), String> {
        const FAULTS: [&str; 4] = ["deadline", "status_5xx", "malformed", "root"];
        let fault = FAULTS[self.random.below(4) as usize];
        let pause = Duration::from_millis(300 + self.random.below(700));
        let instance = &self.instance;
        let body = format!("{{\"for\":\"5m\",\"fault\":\"{fault}\"}}");
        let paths =
            ["drilled-voice", "drilled-messaging"].map(|name| format!("/api/drills/{name}"));
        let windows = &self.world.accountant.windows;
        let _window = windows.open(What::Drill(instance.door));
        for path in &paths {
            let (status, text) = instance.admin("PUT", path, &body).await?;
            if !matches!(status, 200 | 201) {
                return Err(format!("a drill got {status}: {text}"));
            }
        }
        let holds = windows.open(What::DrillHolds(instance.door));
        sleep(pause).await;
        if self.random.below(2) == 0 {
            // A drill outlives a reload.
            self.reload().await?;
        }
        drop(holds);
        for path in &paths {
            let (status, text) = instance.admin("DELETE", path, "").await?;
            if status != 200 {
                return Err(format!("the end of a drill got {status}: {text}"));
            }
        }
        Ok(())
    }

    async fn restart(&self) -> Result<(), String> {
        let windows = &self.world.accountant.windows;
        let _window = windows.open(What::Restart(self.instance.door));
        self.instance.stop().await?;
        self.instance.start().await
    }

    async fn upgrade(&mut self) -> Result<(), String> {
        let windows = &self.world.accountant.windows;
        let _window = windows.open(What::Upgrade(self.instance.door));
        // Also twice in a row, while the first process is still there.
        for _ in 0..1 + self.random.below(4) / 3 {
            if !self.instance.upgrade().await? {
                return Err("it failed".to_owned());
            }
        }
        self.instance.wait_for_old().await
    }

    async fn failed_upgrade(&mut self) -> Result<(), String> {
        let invalid = self.invalid_config();
        self.instance.replace("understudy.toml", invalid);
        let upgraded = self.instance.upgrade().await?;
        self.back_to_good().await?;
        match upgraded {
            false => Ok(()),
            true => Err("a configuration that is not valid was started".to_owned()),
        }
    }

    async fn starve(&mut self) -> Result<(), String> {
        let windows = &self.world.accountant.windows;
        let _window = windows.open(What::Starved(self.instance.door));
        let pid = i32::try_from(self.instance.pid()).ok();
        let pid = pid.and_then(Pid::from_raw);
        let set = |limit| prlimit(pid, Resource::Nofile, limit).map_err(|error| error.to_string());
        let few = self.instance.descriptors() as u64 + self.random.below(10);
        let before = set(Rlimit {
            current: Some(few),
            // It inherited it from here.
            maximum: getrlimit(Resource::Nofile).maximum,
        })?;
        sleep(Duration::from_millis(100 + self.random.below(400))).await;
        set(before)?;
        // Accepting goes on after a pause.
        sleep(Duration::from_millis(400)).await;
        Ok(())
    }
}

/// Disturbs the apps.
pub(crate) async fn disturb_app(
    world: &World,
    apps: &Apps,
    action: AppAction,
    random: &mut Random,
) {
    let windows = &world.accountant.windows;
    let pause = Duration::from_millis(20 + random.below(500));
    match action {
        AppAction::Kill => {
            let _window = windows.open(What::ChildDown);
            apps.child.kill();
            sleep(pause).await;
            tokio::task::block_in_place(|| apps.child.start_again());
        }
        AppAction::Stop => {
            let _window = windows.open(What::ChildStopped);
            signal(apps.child.pid(), Signal::STOP);
            sleep(pause * 2).await;
            signal(apps.child.pid(), Signal::CONT);
            // It has to catch up.
            sleep(DEADLINE).await;
        }
        AppAction::SocketGone => {
            let _window = windows.open(What::UnixGone);
            apps.unix.refuse().await;
            sleep(pause).await;
            apps.unix.recover().await;
        }
        AppAction::HangUp => {
            let _window = windows.open(What::HangUp);
            apps.tcp.begin_to_hang_up();
            sleep(Duration::from_millis(100)).await;
        }
    }
}
