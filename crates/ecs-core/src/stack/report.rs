//! Mistakes as a person reads them: each with its file, line and column, and the line itself.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::check::{count, list};
use crate::Error;

/// Width in columns beyond which a source line is cut around what is wrong in it.
const WIDTH: usize = 120;

/// A mistake with its position.
#[derive(Debug)]
pub(super) struct Located {
    /// The file, by its index, and the bytes in it
    pub(super) at: Option<(usize, Range<usize>)>,
    /// What is wrong
    pub(super) message: String,
    /// What stands under the position, where it is not the mistake itself
    pub(super) label: Option<String>,
    /// What to do about it
    pub(super) hint: Option<String>,
}

/// A file as it is shown.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) text: String,
}

/// Makes one error of all mistakes; they come in the order of the files, those without a position last.
pub(super) fn error(files: &[Shown], mut mistakes: Vec<Located>, color: bool) -> Error {
    mistakes.sort_by_key(|mistake| match &mistake.at {
        Some((file, span)) => (*file, span.start),
        None => (usize::MAX, 0),
    });
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let names = list(files.iter().map(|file| &file.name), "and").replace('`', "");
    let mut report = format!("{} in {names}", count(mistakes.len()));
    for mistake in &mistakes {
        report.push_str("\n\n");
        report.push_str(&render(files, mistake, &renderer));
    }
    Error::usage(report)
}

fn render(files: &[Shown], mistake: &Located, renderer: &Renderer) -> String {
    let mut group = Group::with_title(Level::ERROR.primary_title(one_line(&mistake.message)));
    if let Some((index, span)) = &mistake.at {
        let file = &files[*index];
        let span = first_line(&file.text, span.clone());
        let line_start = file.text[..span.start].rfind('\n').map_or(0, |end| end + 1);
        let line_end = file.text[span.start..].find('\n').map_or(file.text.len(), |end| span.start + end);
        let line = file.text[..span.start].matches('\n').count() + 1;
        // A line with nothing on it has no snippet, and the end of a file no line: their position is all there is.
        if file.text[line_start..line_end].trim().is_empty() {
            let column = file.text[line_start..span.start].chars().count() + 1;
            group = group.element(Origin::path(file.name.as_str()).line(line).char_column(column));
        } else {
            let annotation = AnnotationKind::Primary.span(span).label(mistake.label.as_deref());
            group = group.element(Snippet::source(file.text.as_str()).path(file.name.as_str()).annotation(annotation));
        }
    }
    if let Some(hint) = &mistake.hint {
        group = group.element(Level::HELP.message(one_line(hint)));
    }
    renderer.render(&[group])
}

/// Cuts a span at the end of its first line: a whole table would fill the screen.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let end = text[span.clone()].find(['\n', '\r']).map_or(span.end, |length| span.start + length);
    span.start..end
}

/// Escapes what would break out of its line: a key may hold anything.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}
