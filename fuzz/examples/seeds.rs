//! Writes the seeds made from the vectors into a folder: `seeds VECTORS FOLDER`. `cargo xtask fuzz --seed-corpus` runs it.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1).map(PathBuf::from);
    let (Some(vectors), Some(folder)) = (args.next(), args.next()) else {
        return Err("name the file of the vectors and the folder for the seeds".into());
    };
    for (target, name, bytes) in agentwire_fuzz::seeds::from_vectors(&fs::read_to_string(vectors)?) {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)?;
    }
    Ok(())
}
