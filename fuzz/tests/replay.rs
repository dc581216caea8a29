//! The committed seeds, and every seed that the vectors make, through the checks of the fuzz targets.

use std::{fs, path::Path};

use agentwire_fuzz::{TARGETS, seeds::from_vectors};

#[test]
fn every_committed_seed_passes() {
    for (name, run) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut seeds = 0;
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let file = entry.expect("a readable folder").path();
            // A check that fails does not know the file.
            println!("{}", file.display());
            run(&fs::read(&file).expect("a readable file"));
            seeds += 1;
        }
        println!("replayed {name}: {seeds}");
        assert!(seeds > 5, "{name} has {seeds} seeds");
    }
}

#[test]
fn every_seed_of_the_vectors_passes() {
    let seeds = from_vectors(include_str!("../../tests/vectors/protocol.json"));
    assert!(seeds.len() > 250, "{} seeds", seeds.len());
    for (target, name, bytes) in seeds {
        println!("{target}/{name}");
        let (_, run) = TARGETS.iter().find(|(known, _)| *known == target).expect("a target of that name");
        run(&bytes);
    }
}
