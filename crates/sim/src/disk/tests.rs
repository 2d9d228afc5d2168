//! What the disk promises, one by one.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use carrick_sys::{Disk, File, Opening};

use super::*;
use crate::run;

const SEEDS: u64 = 200;

fn path(name: &str) -> PathBuf {
    Path::new(DATA).join(name)
}

fn create(disk: &SimDisk, name: &str) -> Arc<dyn File> {
    disk.open(&path(name), Opening::New).unwrap()
}

fn sync_dir(disk: &SimDisk) {
    disk.dir(Path::new(DATA)).unwrap().make_durable().unwrap();
}

/// A file with `bytes`, durable by content and name.
fn durable_file(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = create(disk, name);
    file.write_at(&[bytes], 0).unwrap();
    file.make_durable().unwrap();
    sync_dir(disk);
    file
}

fn after_power_cut(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    disk.reboot(Cut::Power).file_bytes(&path(name))
}

#[test]
fn a_synced_file_survives_a_power_cut_byte_for_byte() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let bytes: Vec<u8> = (0..5000_u32).map(|i| i as u8).collect();
        durable_file(&disk, "f", &bytes);
        assert_eq!(after_power_cut(&disk, "f"), Some(bytes), "seed {seed}");
    }
}

#[test]
fn unsynced_bytes_are_lost_by_some_seeds_kept_by_some_and_torn_by_some() {
    let (mut lost, mut kept, mut torn, mut zeroed) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable_file(&disk, "f", &[1; 100]);
        file.write_at(&[&[2; 1500], &[3; 500]], 100).unwrap();
        let after = after_power_cut(&disk, "f").unwrap();
        assert_eq!(after[..100], [1; 100], "seed {seed}");
        match after.len() {
            100 => lost += 1,
            2100 if after[100..1600] == [2; 1500] && after[1600..] == [3; 500] => kept += 1,
            _ => torn += 1,
        }
        zeroed += u32::from(after[100..].contains(&0));
        for (i, byte) in after.iter().enumerate().skip(100) {
            let written = if i < 1600 { 2 } else { 3 };
            assert!(*byte == 0 || *byte == written, "seed {seed}: byte {i} is {byte}");
            let sector = i as u64 / SECTOR_BYTES;
            let peer = after[(sector * SECTOR_BYTES).max(100) as usize];
            assert_eq!(*byte == 0, peer == 0, "seed {seed}: sector {sector} is torn inside");
        }
    }
    assert!(lost > 5 && kept > 5 && torn > 5 && zeroed > 5, "{lost} {kept} {torn} {zeroed}");
}

#[test]
fn later_writes_may_survive_earlier_ones() {
    let out_of_order = (0..SEEDS).filter(|seed| {
        let disk = SimDisk::new(*seed);
        let file = durable_file(&disk, "f", &[0; 1024]);
        file.write_at(&[&[1; 512]], 0).unwrap();
        file.write_at(&[&[2; 512]], 512).unwrap();
        let after = after_power_cut(&disk, "f").unwrap();
        after[0] == 0 && after[512] == 2
    });
    assert!(out_of_order.count() > 5);
}

#[test]
fn what_a_cut_of_the_file_took_away_does_not_come_back_under_later_bytes() {
    let (mut cut, mut uncut) = (0, 0);
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable_file(&disk, "f", &[1; 1500]);
        file.set_len(0).unwrap();
        file.write_at(&[&[2; 1500]], 0).unwrap();
        let after = after_power_cut(&disk, "f").unwrap();
        if after.contains(&1) {
            assert_eq!(after, [1; 1500], "seed {seed}");
            uncut += 1;
        } else {
            cut += 1;
        }
    }
    assert!(cut > 20 && uncut > 20, "{cut} {uncut}");
}

#[test]
fn a_file_whose_directory_was_not_synced_may_vanish_with_its_synced_bytes() {
    let there = |seed| {
        let disk = SimDisk::new(seed);
        let file = create(&disk, "f");
        file.write_at(&[b"bytes"], 0).unwrap();
        file.make_durable().unwrap();
        let after = after_power_cut(&disk, "f");
        assert!(after.as_deref().is_none_or(|bytes| bytes == b"bytes"));
        after.is_some()
    };
    let survived = (0..SEEDS).filter(|seed| there(*seed)).count();
    assert!((20..180).contains(&survived), "{survived}");
}

#[test]
fn a_directorys_own_name_is_its_parents_matter() {
    let there = |seed| {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(&path("a/b")).unwrap();
        let file = create(&disk, "a/b/f");
        file.make_durable().unwrap();
        disk.dir(&path("a/b")).unwrap().make_durable().unwrap();
        disk.dir(&path("a")).unwrap().make_durable().unwrap();
        after_power_cut(&disk, "a/b/f").is_some()
    };
    assert!((0..SEEDS).any(|seed| !there(seed)));
}

#[test]
fn a_rename_is_undone_or_done_and_never_both_names_are_gone() {
    let (mut done, mut undone) = (0, 0);
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable_file(&disk, "old", b"old");
        durable_file(&disk, "new", b"new");
        disk.rename(&path("new"), &path("old")).unwrap();
        // The freed name is taken at once: the rename may not be lost from under it.
        create(&disk, "new");
        let after = disk.reboot(Cut::Power);
        let (old, new) = (after.file_bytes(&path("old")).unwrap(), after.file_bytes(&path("new")));
        match (&old[..], new.as_deref()) {
            (b"new", None | Some(b"")) => done += 1,
            (b"old", Some(b"new")) => undone += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(done > 20 && undone > 20, "{done} {undone}");
}

#[test]
fn a_synced_rename_stays_done_even_into_a_new_directory() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        durable_file(&disk, "f", b"bytes");
        disk.create_dir_all(&path("trash/deep")).unwrap();
        disk.rename(&path("f"), &path("trash/deep/g")).unwrap();
        sync_dir(&disk);
        assert_eq!(disk.reboot(Cut::Power).paths(), ["/data/trash/deep/g"], "seed {seed}");
    }
}

#[test]
fn a_renamed_directory_takes_all_that_is_in_it_along() {
    let (old, new) = ("/data/topics/t/0/f".to_owned(), "/data/trash/t/0/f".to_owned());
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(&path("topics/t/0")).unwrap();
        create(&disk, "topics/t/0/f");
        for dir in ["topics/t/0", "topics/t", "topics", ""] {
            disk.dir(&path(dir)).unwrap().make_durable().unwrap();
        }
        disk.create_dir_all(&path("trash")).unwrap();
        disk.rename(&path("topics/t"), &path("trash/t")).unwrap();
        disk.remove_dir_all(&path("topics")).unwrap();
        let paths = disk.reboot(Cut::Power).paths();
        assert!(paths == [old.as_str()] || paths == [new.as_str()], "seed {seed}: {paths:?}");
        found.extend(paths);
    }
    assert_eq!(found, BTreeSet::from([old, new]));
}

#[test]
fn a_removed_file_may_come_back_until_the_directory_is_synced() {
    let back = |seed, synced: bool| {
        let disk = SimDisk::new(seed);
        durable_file(&disk, "f", b"bytes");
        disk.remove_file(&path("f")).unwrap();
        if synced {
            sync_dir(&disk);
        }
        after_power_cut(&disk, "f").is_some()
    };
    assert!((0..SEEDS).any(|seed| back(seed, false)));
    assert!((0..SEEDS).any(|seed| !back(seed, false)));
    assert!((0..SEEDS).all(|seed| !back(seed, true)));
}

#[test]
fn removed_trees_leave_nothing_behind_in_memory() {
    let disk = SimDisk::new(1);
    for _ in 0..3 {
        disk.create_dir_all(&path("t/0")).unwrap();
        create(&disk, "t/0/f").write_at(&[b"bytes"], 0).unwrap();
        disk.remove_dir_all(&path("t")).unwrap();
        sync_dir(&disk);
    }
    assert_eq!((disk.allocated_bytes(), disk.paths().len()), (0, 0));
    assert_eq!(disk.inner.state.lock().tree.sizes(), (2, 0));
}

#[test]
fn from_the_call_of_the_crash_on_nothing_is_written() {
    for k in 1..12 {
        let disk = SimDisk::new(k);
        disk.crash_at(k);
        let mut done = 0;
        let mut go = || {
            let file = disk.open(&path("f"), Opening::New)?;
            done += 1;
            for turn in 0..20 {
                file.write_at(&[&[7; 10]], turn * 10)?;
                done += 1;
            }
            Ok::<(), io::Error>(())
        };
        let refused = go().unwrap_err();
        assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Other, "the site has crashed".into()));
        assert_eq!((done, disk.calls(), disk.crashed()), (k - 1, k, true));
        assert!(disk.open(&path("g"), Opening::New).is_err() && !disk.exists(Path::new(DATA)));
        let after = disk.reboot(Cut::Kill).file_len(&path("f"));
        assert_eq!(after, (k > 1).then(|| (k - 2) * 10));
    }
}

#[test]
fn handles_of_a_crashed_disk_stay_dead() {
    let disk = SimDisk::new(1);
    let file = durable_file(&disk, "f", b"bytes");
    let after = disk.reboot(Cut::Kill);
    assert!(
        file.write_at(&[b"late"], 0).is_err() && file.make_durable().is_err() && file.read_at(1, 0).is_err()
    );
    run(1, async { assert!(after.sync(vec![file.as_durable()]).await.is_err()) });
    assert_eq!(after.file_bytes(&path("f")).unwrap(), b"bytes");
}

#[test]
fn a_kill_keeps_everything_but_does_not_make_it_durable() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        create(&disk, "f").write_at(&[&[5; 2000]], 0).unwrap();
        let after = disk.reboot(Cut::Kill);
        assert_eq!(after.file_bytes(&path("f")), Some(vec![5; 2000]), "seed {seed}");
        lost += u32::from(after_power_cut(&after, "f") != Some(vec![5; 2000]));
    }
    assert!(lost > 20);
}

#[test]
fn what_a_failed_sync_was_to_cover_never_becomes_durable() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = durable_file(&disk, "f", b"");
        disk.fail_sync_after(2);
        file.write_at(&[b"good"], 0).unwrap();
        file.make_durable().unwrap();
        file.write_at(&[b"doom"], 4).unwrap();
        assert_eq!(file.make_durable().unwrap_err().raw_os_error(), Some(5));
        file.write_at(&[b"more"], 8).unwrap();
        file.make_durable().unwrap();
        file.make_durable().unwrap();
        assert_eq!(&file.read_at(12, 0).unwrap()[..], b"gooddoommore");
        let after = after_power_cut(&disk, "f").unwrap();
        assert_eq!((&after[..4], &after[8..]), (&b"good"[..], &b"more"[..]), "seed {seed}");
        lost += u32::from(&after[4..8] != b"doom");
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn a_failed_sync_of_a_directory_leaves_its_names_droppable() {
    let there = |seed| {
        let disk = SimDisk::new(seed);
        create(&disk, "f");
        disk.fail_sync_after(1);
        assert!(disk.dir(Path::new(DATA)).unwrap().make_durable().is_err());
        sync_dir(&disk);
        after_power_cut(&disk, "f").is_some()
    };
    assert!((0..SEEDS).any(|seed| !there(seed)));
}

#[test]
fn syncs_can_fail_for_ever() {
    run(1, async {
        let disk = SimDisk::new(1);
        let file = create(&disk, "f");
        disk.fail_syncs_from(2);
        assert!(disk.sync(vec![Arc::clone(&file).as_durable()]).await.is_ok());
        for _ in 0..5 {
            assert!(disk.sync(vec![Arc::clone(&file).as_durable()]).await.is_err());
        }
    });
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        run(seed, async {
            let disk = SimDisk::new(seed);
            let file = durable_file(&disk, "f", b"");
            file.write_at(&[b"before"], 0).unwrap();
            let sync = disk.sync(vec![Arc::clone(&file).as_durable()]);
            file.write_at(&[b"after"], 6).unwrap();
            sync.await.unwrap();
            let after = after_power_cut(&disk, "f").unwrap();
            assert_eq!(&after[..6], b"before");
            lost += u32::from(after.len() == 6);
        });
    }
    assert!(lost > 20);
}

#[test]
fn a_sync_that_a_crash_overtakes_answers_an_error() {
    run(1, async {
        let disk = SimDisk::new(1);
        let file = create(&disk, "f");
        disk.stall_sync(Duration::from_millis(50));
        let sync = disk.sync(vec![file.as_durable()]);
        disk.crash();
        disk.until_crashed().await;
        assert!(sync.await.is_err());
    });
}

#[test]
fn a_sync_that_another_failure_overtakes_answers_an_error() {
    run(1, async {
        let disk = SimDisk::new(1);
        let file = create(&disk, "f");
        file.write_at(&[b"bytes"], 0).unwrap();
        let first = disk.sync(vec![Arc::clone(&file).as_durable()]);
        disk.fail_sync_after(1);
        assert!(disk.sync(vec![file.as_durable()]).await.is_err());
        assert!(first.await.is_err());
    });
}

#[test]
fn a_stalled_sync_takes_whole_milliseconds_up_to_its_limit() {
    run(1, async {
        let disk = SimDisk::new(1);
        let file = create(&disk, "f");
        disk.stall_sync(Duration::from_millis(5));
        let mut taken = BTreeSet::new();
        for _ in 0..100 {
            let began = tokio::time::Instant::now();
            disk.sync(vec![Arc::clone(&file).as_durable()]).await.unwrap();
            taken.insert(began.elapsed().as_micros());
        }
        assert_eq!(taken, BTreeSet::from([0, 1000, 2000, 3000, 4000, 5000]));
    });
}

#[test]
fn a_full_disk_cuts_writes_short_and_takes_them_again_once_there_is_room() {
    let mut lens = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let other = durable_file(&disk, "other", &[1; 600]);
        let file = create(&disk, "f");
        disk.full_at(1000);
        assert_eq!(file.write_at(&[&[2; 1000]], 0).unwrap_err().kind(), ErrorKind::StorageFull);
        let len = file.len().unwrap();
        assert!(len <= 400);
        lens.insert(len);
        file.write_at(&[&vec![2; 400 - len as usize]], len).unwrap();
        assert_eq!(disk.open(&path("g"), Opening::New).err().map(|e| e.kind()), Some(ErrorKind::StorageFull));
        assert_eq!(file.set_len(401).unwrap_err().kind(), ErrorKind::StorageFull);
        file.write_at(&[&[3; 400]], 0).unwrap();

        disk.remove_file(&path("other")).unwrap();
        assert_eq!(disk.allocated_bytes(), 1000);
        drop(other);
        assert_eq!(disk.allocated_bytes(), 400);
        file.write_at(&[&[4; 600]], 400).unwrap();
        disk.full_at(u64::MAX);
        file.write_at(&[&[5; 600]], 1000).unwrap();
    }
    assert!(lens.len() > 20, "short writes are drawn");
}

#[test]
fn a_lock_is_held_until_dropped_or_crashed() {
    let disk = SimDisk::new(1);
    let lock = disk.lock(&path("LOCK")).unwrap();
    assert_eq!(disk.lock(&path("LOCK")).err().map(|e| e.kind()), Some(ErrorKind::WouldBlock));
    drop(lock);
    let _held = disk.lock(&path("LOCK")).unwrap();
    assert!(disk.reboot(Cut::Power).lock(&path("LOCK")).is_ok());
}

#[test]
fn a_flipped_bit_is_read_and_survives() {
    let disk = SimDisk::new(1);
    let file = durable_file(&disk, "f", &[0; 600]);
    file.write_at(&[&[0; 100]], 500).unwrap();
    disk.flip_bit(&path("f"), 550, 7).unwrap();
    assert!(disk.flip_bit(&path("f"), 600, 0).is_err());
    assert_eq!(file.read_at(1, 550).unwrap()[..], [0x80]);
    assert_eq!(after_power_cut(&disk, "f").unwrap()[550], 0x80);
}

#[test]
fn some_reads_find_the_cache_empty_and_are_served_cold() {
    run(1, async {
        let disk = SimDisk::new(1);
        let file = durable_file(&disk, "f", b"bytes");
        let missed = (0..1000).filter(|_| file.read_cached(5, 0).unwrap().is_none()).count();
        assert!((20..200).contains(&missed), "{missed}");
        assert_eq!(&disk.read_cold(Arc::clone(&file), 9, 1).await.unwrap()[..], b"ytes");
        assert!(file.read_at(usize::MAX, u64::MAX).unwrap().is_empty());
    });
}

#[test]
fn calls_are_refused_as_a_file_system_refuses_them() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "f");
    disk.create_dir_all(&path("d/e")).unwrap();
    let kind = |result: io::Result<()>| result.map_err(|e| e.kind()).unwrap_err();
    let open = |name: &str, opening| kind(disk.open(&path(name), opening).map(drop));
    assert_eq!(open("f", Opening::New), ErrorKind::AlreadyExists);
    assert_eq!(open("g", Opening::Read), ErrorKind::NotFound);
    assert_eq!(open("no/g", Opening::New), ErrorKind::NotFound);
    assert_eq!(open("f/g", Opening::New), ErrorKind::NotADirectory);
    assert_eq!(open("d", Opening::Write), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename(&path("g"), &path("h"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename(&path("d"), &path("d/e/d"))), ErrorKind::InvalidInput);
    assert_eq!(kind(disk.rename(&path("f"), &path("d"))), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename(&path("d/e"), &path("f"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.rename(&path("d/e"), &path("../d"))), ErrorKind::InvalidInput);
    assert_eq!(kind(disk.remove_file(&path("d"))), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.create_dir_all(&path("f/x"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.list(&path("f")).map(drop)), ErrorKind::NotADirectory);
    assert_eq!(kind(file.write_at(&[b"x"], u64::MAX)), ErrorKind::FileTooLarge);
    let reader = disk.open(&path("f"), Opening::Read).unwrap();
    assert_eq!(reader.write_at(&[b"x"], 0).unwrap_err().raw_os_error(), Some(9));
    assert_eq!(disk.list(Path::new(DATA)).unwrap(), ["d", "f"]);
}

#[test]
fn a_small_file_is_replaced_whole() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let node: &dyn Disk = &*disk;
        node.replace(Path::new(DATA), "FORMAT", b"one").unwrap();
        // The second replacing is cut somewhere.
        disk.crash_at(disk.calls() + 1 + seed % 7);
        let replaced = node.replace(Path::new(DATA), "FORMAT", b"two").is_ok();
        let after = after_power_cut(&disk, "FORMAT").unwrap();
        assert!(after == b"two" || (!replaced && after == b"one"), "seed {seed}");
    }
}

#[test]
fn syncs_of_a_stuck_disk_end_when_it_goes_on_and_failed_ones_are_counted() {
    run(1, async {
        let disk = SimDisk::new(1);
        let file = durable_file(&disk, "f", b"a");
        let began = tokio::time::Instant::now();
        disk.stick_syncs(Duration::from_secs(7), false);
        disk.sync(Vec::new()).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "no file is waited for");
        let sync = || disk.sync(vec![Arc::clone(&file).as_durable()]);
        let (one, other) = futures::join!(sync(), sync());
        one.and(other).unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(7));
        sync().await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(7));
        assert_eq!(disk.failed_syncs(), 0);
        disk.fail_sync_after(1);
        sync().await.unwrap_err();
        assert_eq!(disk.failed_syncs(), 1);
    });
}

#[test]
fn a_disk_that_lies_keeps_nothing_of_what_it_says_is_durable() {
    run(1, async {
        let lost = futures::future::join_all((0..SEEDS).map(|seed| async move {
            let disk = SimDisk::new(seed);
            let file = durable_file(&disk, "f", b"a");
            disk.lie_about_syncs();
            file.write_at(&[b"b"], 0).unwrap();
            disk.sync(vec![file.as_durable()]).await.unwrap();
            after_power_cut(&disk, "f").unwrap() == b"a"
        }));
        assert!(lost.await.contains(&true));
    });
}

#[test]
fn a_disk_fills_up_at_the_call_that_was_named() {
    let disk = SimDisk::new(1);
    let file = disk.open(Path::new("/data/a"), Opening::New).unwrap();
    disk.fill_after(2);
    file.write_at(&[&[1; 100]], 0).unwrap();
    file.write_at(&[&[2; 100]], 0).unwrap();
    assert!(!disk.has_end(), "what stands is written over without room");
    let full = |refused: io::Result<()>| refused.unwrap_err().kind() == io::ErrorKind::StorageFull;
    assert!(full(file.write_at(&[&[3; 100]], 50)));
    assert!(disk.has_end() && (100..150).contains(&file.len().unwrap()));
    assert!(full(file.write_at(&[&[4; 100]], 150)));
    disk.full_at(u64::MAX);
    file.write_at(&[&[5; 100]], 100).unwrap();
    disk.fill_after(1);
    assert!(full(disk.create_dir_all(Path::new("/data/b"))));
}
