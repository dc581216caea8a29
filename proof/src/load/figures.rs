//! What was measured against what it must reach.

/// A figure and its bounds.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) digits: usize,
    pub(super) bound: Bound,
    pub(super) must: f64,
    /// Without it, what reaches `must` reaches the aim.
    pub(super) aim: Option<f64>,
    /// How it came about: noise, what it is compared with.
    pub(super) note: String,
}

/// On which side of a bound a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Most,
    Least,
}

impl Figure {
    /// `aim`, `must` or `missed`.
    pub(super) fn verdict(&self) -> &'static str {
        let reaches = |bound: f64| match self.bound {
            Bound::Most => self.value <= bound,
            Bound::Least => self.value >= bound,
        };
        if reaches(self.aim.unwrap_or(self.must)) {
            "aim"
        } else if reaches(self.must) {
            "must"
        } else {
            "missed"
        }
    }

    /// The line of the table. A slice has figures but no verdicts.
    pub(super) fn line(&self, quick: bool) -> String {
        let number = |value: f64| thousands(value, self.digits);
        let sign = match self.bound {
            Bound::Most => "≤",
            Bound::Least => "≥",
        };
        let aim = self.aim.map_or_else(String::new, |aim| format!(", aim {sign} {}", number(aim)));
        let verdict = if quick { "–" } else { self.verdict() };
        format!(
            "{verdict:<6}  {}: {} {} (must {sign} {}{aim}); {}",
            self.what,
            number(self.value),
            self.unit,
            number(self.must),
            self.note
        )
    }
}

/// A number with commas between thousands.
fn thousands(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// How far equal measurements are apart, in percent of their mean.
pub(super) fn spread(values: &[f64]) -> f64 {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    (high - low) / mean(values) * 100.0
}

/// The mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The value below which `share` of the values are; 0 of none.
pub(super) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, bound: Bound, must: f64, aim: Option<f64>) -> Figure {
        let (what, note) = ("events".to_owned(), "A/A 1 %".to_owned());
        Figure { what, value, unit: "per s", digits: 1, bound, must, aim, note }
    }

    #[test]
    fn a_figure_reaches_its_aim_its_must_or_nothing() {
        let verdicts = |bound, must, aim| {
            [9.0, 10.0, 12.0, 20.0, 21.0].map(|value| figure(value, bound, must, Some(aim)).verdict())
        };
        assert_eq!(verdicts(Bound::Most, 20.0, 10.0), ["aim", "aim", "must", "must", "missed"]);
        assert_eq!(verdicts(Bound::Least, 10.0, 20.0), ["missed", "must", "must", "aim", "aim"]);
        assert_eq!(figure(1.0, Bound::Most, 1.0, None).verdict(), "aim");
        assert_eq!(figure(f64::NAN, Bound::Most, 1.0, None).verdict(), "missed");
    }

    #[test]
    fn a_line_has_the_figure_and_its_bounds() {
        let line = figure(7_600.0, Bound::Least, 15_000.0, Some(25_000.0)).line(false);
        assert_eq!(line, "missed  events: 7,600.0 per s (must ≥ 15,000.0, aim ≥ 25,000.0); A/A 1 %");
        assert!(figure(1.0, Bound::Most, 0.0, None).line(true).starts_with("–  "));
        assert_eq!(
            [thousands(-1_234_567.0, 0), thousands(12.345, 2), thousands(-0.5, 1)],
            ["-1,234,567", "12.35", "-0.5"].map(str::to_owned)
        );
    }

    #[test]
    fn equal_measurements_have_no_spread() {
        assert_eq!(spread(&[2.0, 2.0]), 0.0);
        assert_eq!(spread(&[9.0, 11.0]), 20.0);
        assert_eq!(percentile(&mut [3.0, 1.0, 2.0], 0.5), 2.0);
    }
}
