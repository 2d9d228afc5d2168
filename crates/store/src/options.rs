//! How RocksDB is set up, and why.

use carrick_catalog::Family;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel, Options,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A family's buffers: one that fills and one that is being written out.
const WRITE_BUFFERS: usize = 2;

/// The store's share of the node's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreBudget {
    /// Of one write buffer; a family has up to two.
    pub write_buffer_bytes: usize,
    /// Blocks, indexes and filters of both families together.
    pub cache_bytes: usize,
}

impl Default for StoreBudget {
    fn default() -> Self {
        Self { write_buffer_bytes: 4 * MIB, cache_bytes: 8 * MIB }
    }
}

impl StoreBudget {
    /// What it adds up to with every buffer full.
    pub const fn bytes_max(self) -> usize {
        Family::ALL.len() * WRITE_BUFFERS * self.write_buffer_bytes + self.cache_bytes
    }
}

/// The whole store's options.
///
/// **Recovery is point-in-time**: the replay of the write-ahead log ends at the first record that is torn or does not check.
/// A power cut may write the un-synced tail's pages in any order, so a hole with sound records after it is an honest end:
/// the two strict modes (`AbsoluteConsistency`, `TolerateCorruptedTailRecords`) would refuse to open after it, and an
/// operator would be left to repair what was never promised. The price is that damage *below* the synced end also ends the
/// replay there, without a word. That is why the catalog counts its commits and the log's checkpoint stamps the last synced
/// count: a store that comes up short of it is refused by name, one layer up, where it can be told apart.
/// A log file that is missing or shorter than it was when synced and closed is refused here.
pub fn of_store(budget: StoreBudget) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);

    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    // Each commit is written to the page cache at once, so it survives a kill; only `sync` reaches the medium.
    options.set_manual_wal_flush(false);
    // A quiet family must not keep old log files alive for ever: past this the oldest is written out.
    options.set_max_total_wal_size((2 * WRITE_BUFFERS * budget.write_buffer_bytes) as u64);

    options.set_max_open_files(64);
    options.set_max_background_jobs(2);
    options.set_max_manifest_file_size(4 * MIB);
    options.set_manifest_preallocation_size(64 * KIB);

    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(MIB);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// One column family per durability class. RocksDB insists on `default` beside them, which stays empty.
pub fn of_families(budget: StoreBudget) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(budget.cache_bytes);
    let names = Family::ALL.map(Family::name).into_iter().chain(["default"]);
    names.map(|name| ColumnFamilyDescriptor::new(name, of_family(budget, &cache))).collect()
}

fn of_family(budget: StoreBudget, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(budget.write_buffer_bytes);
    options.set_max_write_buffer_number(WRITE_BUFFERS as i32);
    options.set_compression_type(DBCompressionType::None);
    options
}
