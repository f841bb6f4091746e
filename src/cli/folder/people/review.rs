//! `muster people review` asks suggestions one after another, and takes the answers.

use std::collections::HashMap;
use std::io::{BufRead, IsTerminal, Write};

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;
use muster_actors::people::Correction;
use muster_actors::people::correction::Answer;
use muster_gallery::suggested::Suggested;
use muster_library::correct::correct;
use muster_library::view::{self, FaceSelection};
use muster_library::{Library, suggestions};
use serde_json::{Value, json};

use super::correct::author;
use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::{count, printable, short};

/// Paths and names of the faces and people in questions.
struct ShownQuestions {
    paths: HashMap<FaceId, String>,
    people: HashMap<GroupId, (Option<String>, String)>,
}

impl ShownQuestions {
    fn read(library: &Library, questions: &[Suggested]) -> Result<Self, CliError> {
        let mut paths = HashMap::new();
        for question in questions {
            view::faces(library.db(), FaceSelection::One(question.face), |face| {
                paths.insert(face.id, face.path);
                Ok(())
            })?;
        }
        let people = view::people(library.db())?.into_iter().map(|p| (p.id, (p.name, p.cover_path))).collect();
        Ok(Self { paths, people })
    }

    fn name(&self, group: GroupId) -> Option<&str> {
        self.people.get(&group)?.0.as_deref()
    }

    fn called(&self, group: GroupId) -> String {
        let cover = self.people.get(&group).map(|(_, path)| format!(", as in {}", printable(path))).unwrap_or_default();
        match self.name(group) {
            Some(name) => format!("{}{cover}", printable(name)),
            None => format!("the person {}{cover}", short(group)),
        }
    }

    fn path(&self, face: FaceId) -> String {
        printable(self.paths.get(&face).map(String::as_str).unwrap_or_default())
    }
}

/// Lists the open questions.
pub(super) fn list(library: &mut Library, json: bool) -> Result<(), CliError> {
    let questions = suggestions::list(library.db_mut())?;
    let shown = ShownQuestions::read(library, &questions)?;
    print(|out| {
        if json {
            let one = |q: &Suggested| {
                json!({ "face": q.face, "path": shown.paths.get(&q.face), "of": q.of, "group": q.group,
                        "name": shown.name(q.group), "probability": q.probability, "faces": q.faces })
            };
            return Ok(writeln!(out, "{:#}", Value::Array(questions.iter().map(one).collect()))?);
        }
        if questions.is_empty() {
            return Ok(writeln!(out, "No suggestions: nobody resembles somebody else enough.")?);
        }
        writeln!(out, "{:8}  {:8}  {:>6}  {:>5}  PHOTO", "FACE", "PERHAPS", "CHANCE", "FACES")?;
        for q in &questions {
            let name = shown.name(q.group).map(|name| format!("  {}", printable(name))).unwrap_or_default();
            let (percent, path) = (q.probability * 100.0, shown.path(q.face));
            writeln!(out, "{:8}  {:8}  {percent:>5.0}%  {:>5}  {path}{name}", short(q.face), short(q.group), q.faces)?;
        }
        Ok(writeln!(
            out,
            "\n`muster people review` asks one after another; `muster people answer FACE PERSON yes` answers one."
        )?)
    })
}

/// Asks one question after another until nobody answers, or there are none.
pub(super) fn review(library: &mut Library) -> Result<(), CliError> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        let text = "there is nobody to ask: run it in a terminal, or use `muster people suggestions` and `answer`";
        return Err(CliError::Usage(text.to_owned()));
    }
    let mut answered = 0;
    let mut lines = input.lock().lines();
    loop {
        let questions = suggestions::list(library.db_mut())?;
        let Some(question) = questions.first() else { break };
        let shown = ShownQuestions::read(library, std::slice::from_ref(question))?;
        let who = match question.of {
            Some(of) => format!("{} ({})", shown.called(of), count(question.faces, "face")),
            None => format!("the face {} in {}", short(question.face), shown.path(question.face)),
        };
        let percent = question.probability * 100.0;
        print!("Is {who}\n  {}? ({percent:.0} %)  [y]es, [n]o, [s]kip, [q]uit: ", shown.called(question.group));
        std::io::stdout().flush()?;
        let answer = match lines.next().transpose()?.as_deref().map(str::trim) {
            Some("y" | "yes") => Answer::Yes,
            Some("n" | "no") => Answer::No,
            Some("s" | "skip") => Answer::Skip,
            Some("q" | "quit") | None => break,
            Some(_) => continue,
        };
        let correction = Correction::Answer { face: question.face, group: question.group, answer };
        print!("{}", correct(library.db_mut(), &correction, &author())?);
        answered += 1;
    }
    print(|out| {
        Ok(writeln!(out, "{} answered. `muster people undo` takes back the last answer.", count(answered, "question"))?)
    })
}
