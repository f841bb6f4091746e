//! Finds how much memory this process may have, by its control groups or by the machine.

use std::fs;
use std::path::Path;

/// Divisor of the memory for galleries that were grouped before. The rest is for the gallery that is being grouped, which is
/// read, compared and written.
const KEPT_PART: u64 = 4;
/// Bytes for such galleries where the memory is unknown.
const UNKNOWN: u64 = 1 << 30;

/// Returns the bytes for galleries that stay in memory. `megabytes` is the setting; 0 means a quarter of the process's memory.
pub(super) fn for_kept_galleries(megabytes: u64) -> usize {
    let bytes = match megabytes {
        0 => available(Path::new("/")).map_or(UNKNOWN, |bytes| bytes / KEPT_PART),
        megabytes => megabytes << 20,
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Returns the least limit of this process's control groups and the machine, in bytes; `None` where neither can be read.
fn available(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let limits = files(&groups).into_iter().filter_map(|file| read(&file)?.trim().parse().ok());
    limits.chain(read("proc/meminfo").as_deref().and_then(total)).min()
}

/// Lists the files with limits of the control groups that `/proc/self/cgroup` names, and of their parents. In a container the
/// names may be those of the host, and its own group is at the root.
fn files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut group = group.trim_matches('/');
        while !group.is_empty() {
            files.push(format!("{root}/{group}/{file}"));
            group = group.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        files.push(format!("{root}/{file}"));
    }
    files
}

/// Parses the bytes of `MemTotal` (proc(5)).
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files below a root, and what is available there.
    fn with(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        available(root.path())
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       32000000 kB\nMemFree: 1 kB\n");
    const ALL: u64 = 32_000_000 << 10;

    #[test]
    fn the_least_limit_holds() {
        for (files, expected) in [
            (&[][..], None),
            (&[MACHINE][..], Some(ALL)),
            (&[MACHINE, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "16106127360\n")], Some(15 << 30)),
            (&[MACHINE, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")], Some(ALL)),
            // A task's group allows more than the one around it.
            (
                &[
                    MACHINE,
                    ("proc/self/cgroup", "0::/ecs/task\n"),
                    ("sys/fs/cgroup/ecs/task/memory.max", "4294967296"),
                    ("sys/fs/cgroup/ecs/memory.max", "2147483648"),
                ],
                Some(2 << 30),
            ),
            // The name is the host's; in the container the group is the root.
            (&[("proc/self/cgroup", "0::/docker/1f\n"), ("sys/fs/cgroup/memory.max", "1073741824")], Some(1 << 30)),
            // Version 1, without a limit: the largest number of pages.
            (
                &[
                    MACHINE,
                    ("proc/self/cgroup", "5:cpu:/a\n4:cpuset,memory:/a\n"),
                    ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712"),
                ],
                Some(ALL),
            ),
            (
                &[
                    MACHINE,
                    ("proc/self/cgroup", "4:memory:/a\n"),
                    ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824"),
                ],
                Some(1 << 30),
            ),
        ] {
            assert_eq!(with(files), expected, "{files:?}");
        }
    }

    #[test]
    fn a_setting_wins_over_what_there_is() {
        assert_eq!(for_kept_galleries(7), 7 << 20);
        let quarter = available(Path::new("/")).expect("this machine says what it has") / KEPT_PART;
        assert_eq!(for_kept_galleries(0) as u64, quarter);
    }
}
