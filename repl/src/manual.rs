//! What the command line says of itself to shells and to `man`.

use crate::cli::Cli;
use crate::failure::Failure;
use clap::CommandFactory;
use clap_complete::Shell;

/// The script that completes commands, options and files in a shell.
pub(crate) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "matex", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page, for `man -l` or a folder `man1`.
pub(crate) fn page() -> Result<String, Failure> {
    let mut page = Vec::new();
    let written = clap_mangen::Man::new(Cli::command()).render(&mut page);
    written.map_err(|e| Failure::bug(&format!("the manual page: {e}")))?;
    let mut built = Cli::command();
    built.build();
    for command in built.get_subcommands() {
        let man = clap_mangen::Man::new(command.clone());
        let parts =
            man.render_synopsis_section(&mut page).and_then(|()| man.render_options_section(&mut page));
        parts.map_err(|e| Failure::bug(&format!("the manual page: {e}")))?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}
