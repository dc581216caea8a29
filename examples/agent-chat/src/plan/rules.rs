//! The table from the form of a question to a plan. The first rule that fits wins.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::words::{
    is_whole, looks_like_path, place_glob, quoted, regex, scoped, term, terms, without_how_often,
};
use super::{Plan, Wanted};

/// One row of the table.
pub(super) struct Rule {
    pattern: Regex,
    plan: fn(&Captures<'_>) -> Option<Plan>,
}

impl Rule {
    fn new(pattern: &str, plan: fn(&Captures<'_>) -> Option<Plan>) -> Self {
        Self { pattern: regex(&format!("(?i){pattern}")), plan }
    }

    /// Returns the plan if the question has the form of this rule.
    pub(super) fn plan(&self, question: &str) -> Option<Plan> {
        self.pattern.captures(question).and_then(|captures| (self.plan)(&captures))
    }
}

/// The rules, in the order in which they are tried.
pub(super) static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    vec![
        // What can you do?
        Rule::new(
            r"^(?:help|what (?:can|do) you do|what can i ask.*|how (?:do you work|are you(?: doing)?)|who are you|what are you|thanks?(?: you)?.*)$",
            |_| Some(Plan::Help),
        ),
        // Show me a failure.
        Rule::new(
            r"^(?:fail|show me (?:a failure|an error)|what does (?:a failure|an error) look like)$",
            |_| Some(Plan::Failure),
        ),
        // Ask me before you search for X.
        Rule::new(r"^ask (?:me )?(?:first )?before you (?:search|look)(?: for)? (.+)$", |c| {
            let (what, glob) = scoped(&c[1]);
            Some(Plan::AskFirst { term: term(what)?, glob })
        }),
        // Give me a tour of this project. Walk me through src/lib.rs.
        Rule::new(
            r"\b(?:tour|walk(?:\s?through| me through| us through)|guide me through|show me around)\b(.*)$",
            |c| {
                let place = term(&c[1].replacen(" of ", " ", 1)).filter(|place| looks_like_path(place));
                Some(place.map_or(Plan::Tour, |path| Plan::Summarise { path }))
            },
        ),
        // Compare X and Y. What is the difference between X and Y? X vs Y
        Rule::new(r"^(?:how does )?compare (.+?) (?:and|with|to|vs\.?|versus|against) (.+)$", compare),
        Rule::new(r"\b(?:differences?|relation|relationship) (?:is there )?between (.+?) and (.+)$", compare),
        Rule::new(
            r"^how (?:is|are|does|do) (.+?) (?:different from|differ from|compare (?:to|with)) (.+)$",
            compare,
        ),
        Rule::new(r"^(.+?) (?:vs\.?|versus) (.+)$", compare),
        // Which files mention X, and how often?
        Rule::new(
            r"\b(?:which|what|how many|find|list|show|search)\b(?: me)?(?: for)?(?: all)?(?: of)?(?: the| those)? (?:files|documents|places|modules|sources|pages)\b(?: (?:that|which|do|does))*,? (?:mention|contain|use|have|include|talk about|refer to|say|reference|name|with|mentioning|containing|using|about|know)s? (.+)$",
            mentions,
        ),
        Rule::new(r"^(?:search|grep|look|scan)(?: for)? (.+)$", mentions),
        Rule::new(
            r"^(?:find|show|list)(?: me)?(?: all)?(?: the)? (?:mentions|occurrences|matches) (?:of|for) (.+)$",
            mentions,
        ),
        Rule::new(r"^(?:is|are) (.+?) (?:mentioned|named)\b", mentions),
        // How often is X mentioned?
        Rule::new(
            r"^how (?:often|many times) (?:is|are|does|do|was|were)? ?(.+?)(?: (?:mentioned|used|named|called|appear(?:s|ing)?|occurs?|come up|comes up|stand|found|written))?(?: (in .+))?$",
            |c| count(&[&c[1], c.get(2).map_or("", |place| place.as_str())].join(" ")),
        ),
        // How many files are there? How many lines does README.md have?
        Rule::new(
            r"^(?:how many|count(?: the)?|number of) (?:\w+ )?files(?: (?:are there|do we have|exist|are))?(?: (?:in|under|below) (?:the )?(\S+?)(?: (folder|directory))?)?$",
            |c| list(c.get(1).map(|place| place.as_str()), c.get(2).map(|noun| noun.as_str())),
        ),
        Rule::new(
            r"^how (?:many (?:lines|bytes)|long|big|large) (?:is|are|does|do|has)?(?: in)? ?(.+?)(?: have| has| contain)?$",
            |c| term(&c[1]).filter(|path| looks_like_path(path)).map(|path| Plan::Summarise { path }),
        ),
        // How many X are there?
        Rule::new(
            r"^(?:how many|count(?: the)?(?: number of)?(?: how many)?|number of) (.+?)(?: (?:are|is) there| exist| do(?:es)? (?:we|it|they|you|this project) have| have we)?(?: (in .+))?$",
            |c| count(&[&c[1], c.get(2).map_or("", |place| place.as_str())].join(" ")),
        ),
        // Where is X defined? Where do we use X?
        Rule::new(
            r"\bwhere (?:is|are|was|were|does|do|can i find|has) (.+?) (?:(?:is|are|get|gets|been) )?(?:defined|declared|implemented|written|introduced|specified|made|created|come from|documented|described)\b(?: (in .+))?",
            |c| locate(&c[1], c.get(2).map(|place| place.as_str()), Wanted::Definition),
        ),
        Rule::new(
            r"\bwhere (.+?) (?:is|are|was|were) (?:defined|declared|implemented)\b(?: (in .+))?",
            |c| locate(&c[1], c.get(2).map(|place| place.as_str()), Wanted::Definition),
        ),
        Rule::new(
            r"\bwhere (?:is|are|was|were|does|do|can i find|has) (.+?) (?:(?:is|are|get|gets|been) )?(?:used|called|mentioned|tested|read|set|needed|appear|occur)\b(?: (in .+))?",
            |c| locate(&c[1], c.get(2).map(|place| place.as_str()), Wanted::Uses),
        ),
        Rule::new(
            r"\bwhere (?:do|does|did) (?:we|you|they|i|it|the code|the project) (?:use|call|mention|test|read|set|need) (.+)$",
            |c| locate(&c[1], None, Wanted::Uses),
        ),
        Rule::new(r"^(?:who|what) (?:uses|calls|mentions|needs) (.+)$", |c| {
            locate(&c[1], None, Wanted::Uses)
        }),
        Rule::new(r"\b(?:usages?|uses|users|callers) of (.+)$", |c| locate(&c[1], None, Wanted::Uses)),
        Rule::new(r"\b(?:definition|declaration|implementation) of (.+)$", |c| {
            locate(&c[1], None, Wanted::Definition)
        }),
        Rule::new(r"\bwhere (?:is|are|can i find) (.+)$", |c| {
            (!is_whole(&c[1])).then(|| locate(&c[1], None, Wanted::Definition))?
        }),
        // Read README.md lines 3 to 9. Show the first 20 lines of src/lib.rs.
        Rule::new(
            r"^(?:(?:show|read|print|give|quote|display)(?: me)? )?(?:the )?lines? (\d+)(?: ?(?:-|–|to|through|until|and) ?(\d+))? (?:of|from|in) (.+)$",
            |c| {
                let from = number(&c[1])?;
                read(&c[3], Some((from, c.get(2).map_or(Some(from), |to| number(to.as_str()))?)))
            },
        ),
        Rule::new(
            r"^(?:(?:show|read|print|give|quote|display)(?: me)? )?(?:the )?(?:first|top) (\d+) lines (?:of|from|in) (.+)$",
            |c| read(&c[2], Some((1, number(&c[1])?))),
        ),
        Rule::new(
            r"^(?:show|read|open|print|cat|display|view|quote|see)(?: me)?(?: the)?(?: file)?(?: contents? of)? (\S+?),?(?: ?\(?,?(?:from )?lines? (\d+)(?: ?(?:-|–|to|through|until|and) ?(\d+))?\)?)?$",
            |c| {
                let lines = match c.get(2) {
                    Some(from) => {
                        let from = number(from.as_str())?;
                        Some((from, c.get(3).map_or(Some(from), |to| number(to.as_str()))?))
                    }
                    None => None,
                };
                read(&c[1], lines)
            },
        ),
        // What files are there? What is in docs/?
        Rule::new(
            r"^(?:list|show|display|what|which|give)(?: me)?(?: all)?(?: of)?(?: the)? ?(\w+)? files?(?: (?:are|is|do|does|exist|can)\b(?: (?:there|here|you see|you have|we have|exist|you read))?)?(?: (?:in|under|below|inside) (?:the )?(\S+?)(?: (folder|directory|project|repository))?)?$",
            |c| match (c.get(2), c.get(1)) {
                (Some(place), _) => list(Some(place.as_str()), c.get(3).map(|noun| noun.as_str())),
                (None, Some(kind)) => list(Some(kind.as_str()), Some("files")),
                (None, None) => list(None, None),
            },
        ),
        Rule::new(
            r"^(?:what(?: is|'s)|show me what is|list what is|ls|list|list everything) ?(?:there )?(?:in|inside|under|below)? ?(?:the )?(\S+?)?(?: (folder|directory))$",
            |c| list(c.get(1).map(|place| place.as_str()), c.get(2).map(|noun| noun.as_str())),
        ),
        Rule::new(
            r"^(?:what(?: is|'s) (?:in|inside|under|below)|ls|list|list everything in|what does) ?(?:the )?(\S+?)?(?: (?:contain|hold))?$",
            |c| {
                let place = c.get(1).map(|place| place.as_str());
                match place.filter(|place| !is_whole(place)) {
                    None => list(None, None),
                    Some(place) if place.ends_with('/') || place.contains('*') => list(Some(place), None),
                    Some(place) => {
                        let path = term(place).filter(|path| looks_like_path(path))?;
                        Some(Plan::Summarise { path })
                    }
                }
            },
        ),
        // Summarise docs/PROTOCOL.md. What is this project?
        Rule::new(
            r"\b(?:summari[sz]e|summary (?:of|for)|outline(?: of)?|overview(?: of)?|introduction to|gist of)\b ?(.*)$",
            |c| Some(about(&c[1])),
        ),
        Rule::new(
            r"^(?:what(?: is|'s| are) |explain |describe |what does )(?:me )?(.+?)(?: about| for| do| doing)?$",
            |c| {
                let what = c[1].trim();
                (is_whole(what) || looks_like_path(what)).then(|| about(what))
            },
        ),
        // What is X? How does X work? Why …?
        Rule::new(
            r"^(?:(?:what(?: is|'s| are| was| were)|what do(?:es)?|who (?:is|are)|explain(?: to me)?(?: what| how| why)?|describe(?: how)?|define|about|how (?:does|do|is|are|can|to)|meaning of|more about)) (.+?)(?: (?:is|are|mean|means|do|does|work|works|working|stand for|about|handled|done))?$",
            |c| explain(&c[1]),
        ),
    ]
});

fn compare(captures: &Captures<'_>) -> Option<Plan> {
    let (right, glob) = scoped(&captures[2]);
    Some(Plan::Compare { left: term(&captures[1])?, right: term(right)?, glob })
}

fn mentions(captures: &Captures<'_>) -> Option<Plan> {
    let (what, glob) = scoped(without_how_often(&captures[1]));
    let terms = terms(what);
    (!terms.is_empty()).then_some(Plan::Mentions { terms, glob })
}

fn count(text: &str) -> Option<Plan> {
    let (what, glob) = scoped(text.trim());
    Some(Plan::Count { term: term(what)?, glob })
}

fn locate(text: &str, place: Option<&str>, wanted: Wanted) -> Option<Plan> {
    let whole = [text, place.unwrap_or_default()].join(" ");
    let (what, glob) = scoped(whole.trim());
    Some(Plan::Locate { name: term(what)?, wanted, glob })
}

fn list(place: Option<&str>, noun: Option<&str>) -> Option<Plan> {
    let Some(place) = place.filter(|place| !is_whole(place) && !matches!(*place, "all" | "the" | "there"))
    else {
        return Some(Plan::List { glob: None });
    };
    place_glob(place, noun).map(|glob| Plan::List { glob: Some(glob) })
}

fn read(text: &str, lines: Option<(usize, usize)>) -> Option<Plan> {
    let path = term(text)?;
    looks_like_path(&path).then_some(Plan::Read { path, lines })
}

fn about(text: &str) -> Plan {
    match term(text) {
        Some(what) if is_whole(&what) => Plan::Overview,
        Some(path) if looks_like_path(&path) => Plan::Summarise { path },
        Some(what) => explain(&what).unwrap_or(Plan::Explain { topic: what, glob: None }),
        None => Plan::Overview,
    }
}

/// A topic is short; a long sentence is better served by its keywords.
fn explain(text: &str) -> Option<Plan> {
    let (what, glob) = scoped(text);
    let topic = term(what)?;
    let is_topic = topic.split(' ').count() <= 3 || !quoted(what).is_empty();
    (is_topic && !is_whole(&topic)).then_some(Plan::Explain { topic, glob })
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok()
}
