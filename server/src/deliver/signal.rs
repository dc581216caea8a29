//! What the agent of a run is to know, as JSON and as deliveries.

use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Claim, Decision, OutsideRun, RunSignal};
use serde_json::{Map, Value};

use super::Deliverer;
use super::delivery::{Delivery, message_fields};

/// The pause after the log could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// The fields of a signal.
pub(crate) fn fields(signal: &RunSignal) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), kind(signal).into());
    match signal {
        RunSignal::Answered { approval, answer } => {
            let decision = match answer.decision {
                Decision::Approved => "approved",
                Decision::Denied => "denied",
                _ => "expired",
            };
            fields.insert("approvalId".to_owned(), approval.as_str().into());
            fields.insert("decision".to_owned(), decision.into());
            let mut put =
                |name: &str, value: Option<Value>| fields.extend(value.map(|value| (name.to_owned(), value)));
            put("payload", answer.payload.clone());
            put("editedArgs", answer.edited_args.clone());
            put("reason", answer.reason.clone().map(Value::from));
            put("user", answer.by.clone().map(Value::from));
        }
        RunSignal::Steering { message, .. } => {
            if let Some(claim) = claim(signal) {
                fields.extend(message_fields(message, &claim));
            }
            fields.insert("event".to_owned(), message.body());
        }
        _ => {}
    }
    fields
}

fn kind(signal: &RunSignal) -> &'static str {
    match signal {
        RunSignal::Cancelled => "cancelled",
        RunSignal::Answered { .. } => "approval_resolved",
        RunSignal::Steering { .. } => "steering",
        _ => "over",
    }
}

/// What a message for a run is taken by.
fn claim(signal: &RunSignal) -> Option<Claim> {
    let RunSignal::Steering { message, offset, text } = signal else { return None };
    Some(Claim { send_id: message.send_id.clone(), offset: *offset, text: *text })
}

/// Brings the signals of a run to the backend until it is over.
pub(crate) async fn forward(deliverer: Arc<Deliverer>, run: OutsideRun) {
    let mut signals = run.signals();
    loop {
        let signal = match signals.next().await {
            Ok(Some(RunSignal::Over) | None) => return,
            Ok(Some(signal)) => signal,
            Err(error) => {
                tracing::warn!(stream = %run.stream(), run = run.id(), %error, "the signals of a run cannot be read now; trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let mut fields = fields(&signal);
        fields.remove("type");
        let (kind, part) = match &signal {
            RunSignal::Answered { approval, .. } => ("approval_resolved", approval.clone()),
            RunSignal::Steering { text, .. } => ("steering", text.to_string()),
            _ => ("run_cancelled", String::new()),
        };
        let mut delivery = Delivery::of_run(kind, run.stream(), run.id(), &[&part], fields);
        // What failed is logged and counted; the run can still be told over its own connection.
        if let Ok(accepted) = deliverer.bring(&mut delivery).await {
            drop(accepted);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cancel_is_a_line_of_its_own() {
        assert_eq!(Value::Object(fields(&RunSignal::Cancelled)), json!({ "type": "cancelled" }));
        assert_eq!(Value::Object(fields(&RunSignal::Over)), json!({ "type": "over" }));
    }
}
