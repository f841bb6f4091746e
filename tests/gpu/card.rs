//! What a test does to a card: fills it, and takes its context away.

use cudarc::driver::result::{self, device, primary_ctx};
use cudarc::driver::sys::{self, CUdeviceptr};

/// Memory of a card that is taken until this is dropped, as another program's would be.
pub struct Filled {
    blocks: Vec<CUdeviceptr>,
}

fn current(ordinal: u32) {
    result::init().unwrap();
    let device = device::get(ordinal as i32).unwrap();
    // SAFETY: the context is retained for the rest of the process, which is a test's.
    let context = unsafe { primary_ctx::retain(device) }.unwrap();
    // SAFETY: it lives, as said.
    unsafe { result::ctx::set_current(context) }.unwrap();
}

impl Filled {
    /// Takes all but `left` bytes, in blocks that get smaller: a card's memory is in pieces.
    pub fn all_but(ordinal: u32, left: usize) -> Self {
        current(ordinal);
        let mut blocks = Vec::new();
        let mut block = 1 << 30;
        while block >= 1 << 20 {
            let (free, _) = result::mem_get_info().unwrap();
            if free < left + block {
                block /= 2;
                continue;
            }
            // SAFETY: freed below, in the same context.
            match unsafe { result::malloc_sync(block) } {
                Ok(pointer) => blocks.push(pointer),
                Err(_) => block /= 2,
            }
        }
        Self { blocks }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        current(0);
        for block in self.blocks.drain(..) {
            // SAFETY: allocated above and freed once.
            unsafe { result::free_sync(block) }.unwrap();
        }
    }
}

/// Destroys the primary context under everybody who uses it: every later call of theirs fails.
pub fn kill_context(ordinal: u32) {
    result::init().unwrap();
    let device = device::get(ordinal as i32).unwrap();
    // SAFETY: what is lost is this process's own.
    unsafe { sys::cuDevicePrimaryCtxReset_v2(device) }.result().unwrap();
}
