//! A little network of namespaces, for programs that want an address each.
//!
//! ```text
//!    node 1      node 2      node 3        each a process in its own network
//!    10.77.0.1   10.77.0.2   10.77.0.3     and mount namespace
//!        └───────────┼───────────┘
//!                  bridge                  in a namespace of its own
//! ```
//!
//! Nothing of it is visible outside: the bridge lives in a namespace too, held
//! by a process that waits for its standard input to close. Namespaces, bridge
//! and links have no other owner than these processes, so they are gone when the
//! processes are, however the run ends, and nothing can leave the machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::super::programs::Programs;
use super::super::{Child, Excuse};

/// The namespaces and their bridge.
#[derive(Debug)]
pub struct Network {
    tools: Tools,
    /// Bytes of the largest packet.
    mtu: usize,
    hub: Child,
    nodes: usize,
}

/// The programs that make it, by their full path.
#[derive(Debug)]
struct Tools {
    unshare: PathBuf,
    nsenter: PathBuf,
    shell: PathBuf,
    ip: PathBuf,
    hostname: PathBuf,
    mount: PathBuf,
    cat: PathBuf,
}

impl Network {
    /// Makes the bridge.
    ///
    /// # Errors
    ///
    /// When a tool is missing, or this user may not make namespaces.
    pub fn new(programs: &Programs, mtu: usize) -> Result<Network, Excuse> {
        let tools = Tools {
            unshare: programs.need("unshare", "util-linux")?,
            nsenter: programs.need("nsenter", "util-linux")?,
            shell: programs.need("sh", "dash")?,
            ip: programs.need("ip", "iproute2")?,
            hostname: programs.need("hostname", "hostname")?,
            mount: programs.need("mount", "mount")?,
            cat: programs.need("cat", "coreutils")?,
        };
        let mut command = Command::new(&tools.unshare);
        if !geteuid().is_root() {
            // Root within a user namespace may do what follows, where the
            // kernel lets everybody have one.
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--net", "--"]).arg(&tools.shell).args([
            "-c",
            "\"$ip\" link add name hub mtu \"$mtu\" type bridge mcast_snooping 0 && \
             \"$ip\" link set dev hub up && echo ready >&2 && exec \"$cat\"",
        ]);
        command
            .env("ip", &tools.ip)
            .env("cat", &tools.cat)
            .env("mtu", mtu.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut hub = Child::start("the bridge's namespace", &mut command)?;
        hub.await_line("ready").map_err(|excuse| {
            let (Excuse::Absent(why) | Excuse::Failed(why)) = excuse;
            Excuse::Absent(format!(
                "network namespaces are not permitted here, run as root: {why}"
            ))
        })?;
        Ok(Network {
            tools,
            mtu,
            hub,
            nodes: 0,
        })
    }

    /// Starts a program in a namespace of its own, with the next address:
    /// `10.77.0.1`, `10.77.0.2` and so on. It finds an empty `/run` and
    /// `/dev/shm`, which vanish with it.
    ///
    /// # Errors
    ///
    /// When a step fails; what was made so far goes with the result.
    pub fn start(
        &mut self,
        name: &str,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Child, Excuse> {
        self.nodes += 1;
        let (tools, node) = (&self.tools, self.nodes);
        let mut command = self.enter(self.hub.id(), &["--net"]);
        command
            .arg(&tools.unshare)
            .args(["--net", "--mount", "--uts", "--"])
            .arg(&tools.shell)
            .args([
                "-c",
                "\"$mount\" -t tmpfs -o size=16m tmpfs /run && \
                 \"$mount\" -t tmpfs -o size=1g tmpfs /dev/shm && \
                 \"$hostname\" \"$name\" && \
                 \"$ip\" link set dev lo up && \
                 echo ready >&2 && read go && \
                 \"$ip\" address add \"$address\"/24 dev wire && \
                 \"$ip\" link set dev wire up && \
                 \"$ip\" route add 224.0.0.0/4 dev wire && \
                 exec \"$@\"",
                name,
            ])
            .arg(program)
            .args(arguments);
        command
            .env("mount", &tools.mount)
            .env("hostname", &tools.hostname)
            .env("ip", &tools.ip)
            .env("name", name)
            .env("address", address(node))
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = Child::start(name, &mut command)?;
        child.await_line("ready")?;
        self.join(node, child.id())?;
        let stdin = child.process().stdin.as_mut().expect("it was asked for");
        stdin
            .write_all(b"go\n")
            .map_err(|error| Excuse::Failed(format!("{name} does not listen: {error}")))?;
        Ok(child)
    }

    /// A command that runs the rest of its arguments beside a node's process.
    pub fn beside(&self, node: &Child) -> Command {
        self.enter(node.id(), &["--net", "--mount"])
    }

    /// Lays a pair of ends between the bridge and a node.
    fn join(&self, node: usize, id: u32) -> Result<(), Excuse> {
        let mtu = self.mtu.to_string();
        let (end, id) = (format!("node{node}"), id.to_string());
        let steps: [&[&str]; 2] = [
            &[
                "link", "add", "name", &end, "mtu", &mtu, "type", "veth", "peer", "name", "wire",
                "mtu", &mtu, "netns", &id,
            ],
            &["link", "set", "dev", &end, "master", "hub", "up"],
        ];
        for step in steps {
            let output = self
                .enter(self.hub.id(), &["--net"])
                .arg(&self.tools.ip)
                .args(step)
                .stdin(Stdio::null())
                .output()
                .map_err(|error| Excuse::Failed(format!("nsenter does not start: {error}")))?;
            if !output.status.success() {
                return Err(Excuse::Failed(format!(
                    "ip {}: {}",
                    step.join(" "),
                    String::from_utf8_lossy(&output.stderr).trim()
                )));
            }
        }
        Ok(())
    }

    fn enter(&self, id: u32, namespaces: &[&str]) -> Command {
        let mut command = Command::new(&self.tools.nsenter);
        command.args(["--target", &id.to_string()]);
        if !geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(namespaces).arg("--");
        command
    }
}

/// The address of a node, counted from 1.
pub fn address(node: usize) -> String {
    format!("10.77.0.{node}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_not_permitted_is_said() {
        let directory = tempfile::tempdir().expect("a directory");
        let real = Programs::default();
        let refuses = real
            .need("false", "coreutils")
            .expect("every machine has it");
        symlink(refuses, directory.path().join("unshare")).expect("a link");
        let mut path = directory.path().as_os_str().to_owned();
        path.push(":");
        path.push(real.path());
        let excuse = match Network::new(&Programs::within(path), 1_500) {
            Ok(_) => panic!("made without the tool"),
            Err(excuse) => excuse,
        };
        assert!(matches!(excuse, Excuse::Absent(_)), "{excuse}");
        // Either that, or a tool that this machine lacks.
        let said = excuse.to_string();
        assert!(
            said.contains("namespaces are not permitted") || said.contains("apt-get install"),
            "{said}"
        );
    }
}
