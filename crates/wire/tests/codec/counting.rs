//! A global allocator that counts, for each thread, the bytes alive and the most that were.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    // Signed: a thread may free what another allocated.
    static ALIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// What `work` returns, and the most bytes that it had allocated at any moment.
pub fn peak_bytes_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALIVE.get();
    PEAK.set(before);
    let value = work();
    (value, (PEAK.get() - before).cast_unsigned())
}

fn grow(bytes: usize) {
    let alive = ALIVE.get() + bytes.cast_signed();
    ALIVE.set(alive);
    PEAK.set(PEAK.get().max(alive));
}

fn shrink(bytes: usize) {
    ALIVE.set(ALIVE.get() - bytes.cast_signed());
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new are alive at once while the bytes move.
        grow(size);
        shrink(layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[test]
fn the_counter_sees_a_vector_grow() {
    let (_, peak) = peak_bytes_of(|| {
        let mut vector = std::hint::black_box(vec![0_u8; 1000]);
        vector.reserve_exact(1000);
        std::hint::black_box(vector)
    });
    assert_eq!(peak, 3000, "1000 and, while they move, 2000 more");
}
