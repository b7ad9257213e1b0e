//! Metric alarms of every region.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::Refusal;
use crate::environment::ACCOUNT;

/// The states of an alarm.
const STATES: [&str; 3] = ["OK", "ALARM", "INSUFFICIENT_DATA"];

/// How an alarm can compare (botocore cloudwatch model, ComparisonOperator).
const OPERATORS: [&str; 7] = [
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
];

/// The alarms of every region, by name.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Mutex<HashMap<String, BTreeMap<String, Alarm>>>);

/// An alarm, as DescribeAlarms shows it, and its tags.
#[derive(Clone, Debug, Default)]
struct Alarm {
    shown: Map<String, Value>,
    tags: BTreeMap<String, String>,
}

impl Alarm {
    fn set(&mut self, state: &str, reason: &str, now: f64) {
        if self.shown.get("StateValue").and_then(Value::as_str) != Some(state) {
            self.shown.insert("StateTransitionedTimestamp".to_owned(), json!(now));
        }
        self.shown.insert("StateValue".to_owned(), json!(state));
        self.shown.insert("StateReason".to_owned(), json!(reason));
        self.shown.insert("StateUpdatedTimestamp".to_owned(), json!(now));
    }

    fn text(&self, name: &str) -> &str {
        self.shown.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> f64 {
        self.shown.get(name).and_then(Value::as_f64).unwrap_or_default()
    }

    /// Seconds of a data point: of metric math the longest of its metrics.
    fn period(&self) -> f64 {
        let queries = self.shown.get("Metrics").and_then(Value::as_array).into_iter().flatten();
        let periods = queries.filter_map(|query| query["MetricStat"]["Period"].as_f64().or(query["Period"].as_f64()));
        periods.fold(self.number("Period"), f64::max)
    }
}

impl Alarms {
    /// Whether an alarm is in ALARM, and for how many seconds it looks back; none: there is no such alarm.
    pub(crate) fn look(&self, region: &str, name: &str) -> Option<(bool, f64)> {
        let all = self.all();
        let alarm = all.get(region)?.get(name)?;
        Some((alarm.text("StateValue") == "ALARM", alarm.period() * alarm.number("EvaluationPeriods")))
    }

    /// Sets an alarm's state by script; one that is not there is none.
    pub(crate) fn script(&self, region: &str, name: &str, state: &str, now: f64) {
        let mut all = self.all();
        if let Some(alarm) = all.get_mut(region).and_then(|alarms| alarms.get_mut(name)) {
            alarm.set(state, "Threshold Crossed: by the script of the weather", now);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.all().clear();
    }

    /// PutMetricAlarm: an alarm of that name is overwritten, except for its state and its tags (API reference).
    pub(super) fn put(&self, region: &str, input: &Value, now: f64) -> Result<Value, Refusal> {
        check(input)?;
        let name = text(input, "AlarmName")?.to_owned();
        let mut all = self.all();
        let alarms = all.entry(region.to_owned()).or_default();
        let present = alarms.get(&name);
        let mut alarm = Alarm::default();
        for (member, value) in input.as_object().into_iter().flatten() {
            if member != "Tags" && !value.is_null() {
                alarm.shown.insert(member.clone(), value.clone());
            }
        }
        for (member, usual) in [
            ("ActionsEnabled", json!(true)),
            ("OKActions", json!([])),
            ("AlarmActions", json!([])),
            ("InsufficientDataActions", json!([])),
            ("Dimensions", json!([])),
        ] {
            alarm.shown.entry(member).or_insert(usual);
        }
        alarm.shown.insert("AlarmArn".to_owned(), json!(arn(region, &name)));
        alarm.shown.insert("AlarmConfigurationUpdatedTimestamp".to_owned(), json!(now));
        match present {
            Some(present) => {
                for member in ["StateValue", "StateReason", "StateUpdatedTimestamp", "StateTransitionedTimestamp"] {
                    alarm.shown.extend(present.shown.get(member).map(|value| (member.to_owned(), value.clone())));
                }
                alarm.tags = present.tags.clone();
            }
            None => {
                alarm.set("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation", now);
                alarm.tags = tags(input);
            }
        }
        alarms.insert(name, alarm);
        Ok(json!({}))
    }

    pub(super) fn describe(&self, region: &str, input: &Value) -> Result<Value, Refusal> {
        let names = texts(input, "AlarmNames");
        let (prefix, state, action) =
            (input["AlarmNamePrefix"].as_str(), input["StateValue"].as_str(), input["ActionPrefix"].as_str());
        if !names.is_empty() && prefix.is_some() {
            let message = "AlarmNames and AlarmNamePrefix cannot be specified together";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidParameterCombination", message));
        }
        if let Some(state) = state {
            check_state(state)?;
        }
        let types = texts(input, "AlarmTypes");
        let wanted = |name: &str, alarm: &Alarm| {
            (types.is_empty() || types.contains(&"MetricAlarm"))
                && (names.is_empty() || names.contains(&name))
                && prefix.is_none_or(|prefix| name.starts_with(prefix))
                && state.is_none_or(|state| alarm.text("StateValue") == state)
                && action.is_none_or(|prefix| {
                    let actions = alarm.shown.get("AlarmActions").and_then(Value::as_array).into_iter().flatten();
                    actions.filter_map(Value::as_str).any(|action| action.starts_with(prefix))
                })
        };
        let from = match input["NextToken"].as_str() {
            Some(token) => token
                .parse::<usize>()
                .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "InvalidNextToken", "Invalid next token"))?,
            None => 0,
        };
        let size = input["MaxRecords"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(50).clamp(1, 100);
        let all = self.all();
        let found: Vec<&Alarm> = all
            .get(region)
            .into_iter()
            .flatten()
            .filter(|(name, alarm)| wanted(name, alarm))
            .map(|(_, alarm)| alarm)
            .collect();
        let page: Vec<&Map<String, Value>> = found.iter().skip(from).take(size).map(|alarm| &alarm.shown).collect();
        let mut output = json!({"CompositeAlarms": [], "MetricAlarms": page});
        if found.len() > from + size {
            output["NextToken"] = json!((from + size).to_string());
        }
        Ok(output)
    }

    pub(super) fn describe_for_metric(&self, region: &str, input: &Value) -> Value {
        let same = |alarm: &&Alarm| {
            ["MetricName", "Namespace"].iter().all(|member| input[*member].as_str() == Some(alarm.text(member)))
                && ["Statistic", "Dimensions", "Period", "Unit"].iter().all(|member| {
                    let given = input.get(*member).filter(|given| !given.is_null());
                    given.is_none_or(|given| alarm.shown.get(*member) == Some(given))
                })
        };
        let all = self.all();
        let found = all.get(region).into_iter().flatten().map(|(_, alarm)| alarm).filter(same);
        json!({"MetricAlarms": found.map(|alarm| &alarm.shown).collect::<Vec<_>>()})
    }

    pub(super) fn set_state(&self, region: &str, input: &Value, now: f64) -> Result<Value, Refusal> {
        let (name, state, reason) =
            (text(input, "AlarmName")?, text(input, "StateValue")?, text(input, "StateReason")?);
        check_state(state)?;
        let mut all = self.all();
        let Some(alarm) = all.get_mut(region).and_then(|alarms| alarms.get_mut(name)) else {
            return Err(not_found());
        };
        alarm.set(state, reason, now);
        if let Some(data) = input["StateReasonData"].as_str() {
            alarm.shown.insert("StateReasonData".to_owned(), json!(data));
        }
        Ok(json!({}))
    }

    /// DeleteAlarms: those that are there go, even where another name is wrong (API reference).
    pub(super) fn delete(&self, region: &str, input: &Value) -> Result<Value, Refusal> {
        let names = texts(input, "AlarmNames");
        let mut all = self.all();
        let alarms = all.entry(region.to_owned()).or_default();
        let missing = names.iter().filter(|name| alarms.remove(**name).is_none()).count();
        if missing == 0 { Ok(json!({})) } else { Err(not_found()) }
    }

    pub(super) fn enable_actions(&self, region: &str, input: &Value, enabled: bool) -> Value {
        let names = texts(input, "AlarmNames");
        for (name, alarm) in self.all().get_mut(region).into_iter().flatten() {
            if names.contains(&name.as_str()) {
                alarm.shown.insert("ActionsEnabled".to_owned(), json!(enabled));
            }
        }
        json!({})
    }

    pub(super) fn tag(&self, region: &str, input: &Value) -> Result<Value, Refusal> {
        self.with_tags(region, input, |present| {
            present.extend(tags(input));
            json!({})
        })
    }

    pub(super) fn untag(&self, region: &str, input: &Value) -> Result<Value, Refusal> {
        self.with_tags(region, input, |present| {
            for key in texts(input, "TagKeys") {
                present.remove(key);
            }
            json!({})
        })
    }

    pub(super) fn list_tags(&self, region: &str, input: &Value) -> Result<Value, Refusal> {
        self.with_tags(region, input, |present| {
            let tags = present.iter().map(|(key, value)| json!({"Key": key, "Value": value}));
            json!({"Tags": tags.collect::<Vec<_>>()})
        })
    }

    fn with_tags(
        &self,
        region: &str,
        input: &Value,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Value,
    ) -> Result<Value, Refusal> {
        let wanted = text(input, "ResourceARN")?;
        let mut all = self.all();
        let found = all.get_mut(region).into_iter().flatten().find(|(_, alarm)| alarm.text("AlarmArn") == wanted);
        match found {
            Some((_, alarm)) => Ok(change(&mut alarm.tags)),
            None => Err(Refusal::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", "Unknown")),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, Alarm>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses an alarm as PutMetricAlarm's documentation has it.
fn check(input: &Value) -> Result<(), Refusal> {
    let name = text(input, "AlarmName")?;
    if name.is_empty() || name.len() > 255 {
        return Err(Refusal::invalid("AlarmName must be 1 to 255 characters long"));
    }
    let operator = text(input, "ComparisonOperator")?;
    if !OPERATORS.contains(&operator) {
        return Err(Refusal::invalid(format!(
            "1 validation error detected: Value '{operator}' at 'comparisonOperator' failed to satisfy constraint: \
             Member must satisfy enum value set: [{}]",
            OPERATORS.join(", ")
        )));
    }
    if input["EvaluationPeriods"].as_i64().is_none_or(|periods| periods < 1) {
        return Err(missing("EvaluationPeriods"));
    }
    let metrics = input["Metrics"].as_array().is_some_and(|metrics| !metrics.is_empty());
    if metrics {
        check_metrics(input)?;
    }
    if !metrics {
        text(input, "MetricName")?;
        text(input, "Namespace")?;
        check_period(&input["Period"])?;
        if !input["Statistic"].is_string() && !input["ExtendedStatistic"].is_string() {
            return Err(missing("Statistic"));
        }
    }
    if !input["Threshold"].is_number() && !input["ThresholdMetricId"].is_string() {
        return Err(missing("Threshold"));
    }
    Ok(())
}

/// Refuses metric math as the botocore cloudwatch model (PutMetricAlarmInput, MetricDataQuery) documents it.
fn check_metrics(input: &Value) -> Result<(), Refusal> {
    for member in ["MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic"] {
        if !input[member].is_null() {
            return Err(Refusal::invalid(format!("Metrics list and {member} cannot both be specified")));
        }
    }
    let queries = input["Metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_expression = |query: &&Value| query["Expression"].is_string();
    let expressions = queries.iter().filter(is_expression).count();
    if expressions > 10 || queries.len() - expressions > 10 {
        return Err(Refusal::invalid("Metrics must have at most 10 metrics and 10 expressions"));
    }
    let mut ids = Vec::new();
    for query in queries {
        let id = text(query, "Id")?;
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !id.starts_with(|c: char| c.is_ascii_lowercase()) || !id.chars().all(sound) || ids.contains(&id) {
            let message =
                format!("The value for Id '{id}' must start with a lowercase letter, be alphanumeric and unique");
            return Err(Refusal::invalid(message));
        }
        ids.push(id);
        match (&query["MetricStat"], is_expression(&query)) {
            (Value::Object(_), false) => {
                let stat = &query["MetricStat"];
                text(stat, "Stat")?;
                text(&stat["Metric"], "MetricName")?;
                check_period(&stat["Period"])?;
            }
            (Value::Null, true) => {}
            _ => return Err(Refusal::invalid("Exactly one of MetricStat and Expression must be specified")),
        }
    }
    // Without a word, data is returned.
    match queries.iter().filter(|query| query["ReturnData"] != json!(false)).count() {
        1 => Ok(()),
        _ => Err(Refusal::invalid("Exactly one element of the metrics list should return data")),
    }
}

fn check_period(period: &Value) -> Result<(), Refusal> {
    let Some(period) = period.as_i64() else { return Err(missing("Period")) };
    if !matches!(period, 10 | 20 | 30) && (period < 60 || period % 60 != 0) {
        return Err(Refusal::invalid("Metric period must be 10, 20, 30 or a multiple of 60"));
    }
    Ok(())
}

fn check_state(state: &str) -> Result<(), Refusal> {
    if STATES.contains(&state) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "1 validation error detected: Value '{state}' at 'stateValue' failed to satisfy constraint: \
         Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]"
    )))
}

/// The refusal of SetAlarmState and DeleteAlarms.
fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "ResourceNotFound", "Unknown")
}

fn missing(member: &str) -> Refusal {
    let mut member = member.to_owned();
    if let Some(first) = member.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    Refusal::invalid(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}

fn text<'a>(input: &'a Value, member: &str) -> Result<&'a str, Refusal> {
    input[member].as_str().ok_or_else(|| missing(member))
}

fn texts<'a>(input: &'a Value, member: &str) -> Vec<&'a str> {
    input[member].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn tags(input: &Value) -> BTreeMap<String, String> {
    let pair = |tag: &Value| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str()?.to_owned()));
    input["Tags"].as_array().into_iter().flatten().filter_map(pair).collect()
}

fn arn(region: &str, name: &str) -> String {
    format!("arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm() -> Value {
        json!({
            "AlarmName": "5xx", "MetricName": "HTTPCode_Target_5XX_Count", "Namespace": "AWS/ApplicationELB", "Period": 60,
            "EvaluationPeriods": 2, "Threshold": 1.0, "Statistic": "Sum", "ComparisonOperator": "GreaterThanThreshold",
            "Tags": [{"Key": "a", "Value": "b"}],
        })
    }

    #[test]
    fn an_overwritten_alarm_keeps_its_state_and_its_tags() {
        let alarms = Alarms::default();
        alarms.put("r", &alarm(), 1.0).expect("an alarm");
        assert_eq!(alarms.look("r", "5xx"), Some((false, 120.0)));
        let state = json!({"AlarmName": "5xx", "StateValue": "ALARM", "StateReason": "test"});
        alarms.set_state("r", &state, 2.0).expect("a state");
        let mut again = alarm();
        again["Tags"] = json!([]);
        again["Period"] = json!(10);
        alarms.put("r", &again, 3.0).expect("an alarm");
        assert_eq!(alarms.look("r", "5xx"), Some((true, 20.0)));
        let arn = json!({"ResourceARN": "arn:aws:cloudwatch:r:123456789012:alarm:5xx"});
        assert_eq!(alarms.list_tags("r", &arn), Ok(json!({"Tags": [{"Key": "a", "Value": "b"}]})));
        assert_eq!(alarms.look("other", "5xx"), None);
    }

    /// An alarm on the sum of two metrics.
    fn math() -> Value {
        let stat = |name: &str| {
            json!({"Id": name, "ReturnData": false, "MetricStat": {
                "Metric": {"Namespace": "AWS/ApplicationELB", "MetricName": "HTTPCode_Target_5XX_Count"}, "Period": 60, "Stat": "Sum",
            }})
        };
        json!({
            "AlarmName": "both", "EvaluationPeriods": 3, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
            "Metrics": [stat("m1"), stat("m2"), {"Id": "e1", "Expression": "SUM([m1, m2])", "ReturnData": true}],
        })
    }

    #[test]
    fn metric_math_looks_back_by_its_metrics() {
        let alarms = Alarms::default();
        alarms.put("r", &math(), 1.0).expect("an alarm");
        assert_eq!(alarms.look("r", "both"), Some((false, 180.0)));
        let shown = alarms.describe("r", &json!({"AlarmNames": ["both"]})).expect("an answer");
        assert_eq!(shown["MetricAlarms"][0]["Metrics"], math()["Metrics"]);
    }

    #[test]
    fn metric_math_that_is_none_is_refused() {
        type Case = (fn(&mut Value), &'static str);
        let cases: [Case; 6] = [
            (|alarm| alarm["Period"] = json!(60), "Period cannot both"),
            (|alarm| alarm["Metrics"][0]["ReturnData"] = json!(true), "Exactly one element"),
            (|alarm| alarm["Metrics"][1]["Id"] = json!("m1"), "unique"),
            (|alarm| alarm["Metrics"][1]["Id"] = json!("M2"), "lowercase"),
            (|alarm| alarm["Metrics"][2]["Expression"] = Value::Null, "Exactly one of MetricStat"),
            (|alarm| alarm["Metrics"][0]["MetricStat"]["Period"] = json!(45), "multiple of 60"),
        ];
        for (spoil, why) in cases {
            let mut alarm = math();
            spoil(&mut alarm);
            let refusal = Alarms::default().put("r", &alarm, 0.0).expect_err(why);
            assert!(refusal.message.contains(why), "{why}: {}", refusal.message);
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let alarms = Alarms::default();
        let mut wrong = alarm();
        wrong["Period"] = json!(45);
        assert!(alarms.put("r", &wrong, 0.0).is_err_and(|refusal| refusal.message.contains("multiple of 60")));
        wrong["Period"] = Value::Null;
        assert!(alarms.put("r", &wrong, 0.0).is_err_and(|refusal| refusal.message.contains("'period'")));
        let names = json!({"AlarmNames": ["none"]});
        assert!(alarms.delete("r", &names).is_err_and(|refusal| refusal.code == "ResourceNotFound"));
        assert_eq!(alarms.describe("r", &names), Ok(json!({"CompositeAlarms": [], "MetricAlarms": []})));
    }
}
