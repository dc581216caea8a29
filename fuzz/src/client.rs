//! The core: any order of everything that can happen to it, with a driver that keeps its part of the contract and a server
//! that keeps none.

mod driver;
mod ledger;
pub(crate) mod script;

use arbitrary::Unstructured;
use driver::Driver;
use script::Step;

/// Steps of one script; what follows adds nothing but time.
const MAX_STEPS: usize = 400;

/// Plays the bytes as a script, then closes the client.
pub fn run(data: &[u8]) {
    // Texts of former scripts would fill the memory.
    agentwire::proto::Text::forget_all();
    let mut input = Unstructured::new(data);
    let mut driver = Driver::new();
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::read(&mut input) else { break };
        driver.play(step);
    }
    driver.finish();
}
