//! Identity providers: moto does not know how to add an audience to one.

use hyper::StatusCode;

use super::{NAMESPACE, VERSION};
use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// AddClientIDToOpenIDConnectProvider: one that is there already is no error (API reference).
///
/// moto can make providers and delete them, so it makes this one anew.
pub(super) async fn add_client_id(proxy: &Proxy, request: &Request) -> Answer {
    let arn = request.form_value("OpenIDConnectProviderArn").unwrap_or_default();
    let client_id = request.form_value("ClientID").unwrap_or_default();
    let query = async |form: &[(&str, &str)]| proxy.upstream.query("iam", &request.region, VERSION, form).await;
    let described = query(&[("Action", "GetOpenIDConnectProvider"), ("OpenIDConnectProviderArn", arn)]).await;
    if !described.status.is_success() {
        let message = format!("OpenIDConnect Provider not found for arn {arn}");
        return Refusal::new("NoSuchEntity", message).with_status(StatusCode::NOT_FOUND).answer(request);
    }
    let members = |list: &str| text(&described.body, list).map(|list| texts(list, "member")).unwrap_or_default();
    let mut client_ids = members("ClientIDList");
    if client_ids.contains(&client_id) {
        return Answer::query(&request.operation, NAMESPACE, "");
    }
    client_ids.push(client_id);
    let url = text(&described.body, "Url").unwrap_or_default();
    let mut form = vec![
        ("Action".to_owned(), "CreateOpenIDConnectProvider".to_owned()),
        ("Url".to_owned(), format!("https://{}", url.trim_start_matches("https://"))),
    ];
    for (list, values) in [("ClientIDList", client_ids), ("ThumbprintList", members("ThumbprintList"))] {
        let numbered = values.into_iter().enumerate();
        form.extend(numbered.map(|(index, value)| (format!("{list}.member.{}", index + 1), value.to_owned())));
    }
    for (index, tag) in members("Tags").into_iter().enumerate() {
        for part in ["Key", "Value"] {
            let value = text(tag, part).unwrap_or_default().to_owned();
            form.push((format!("Tags.member.{}.{part}", index + 1), value));
        }
    }
    query(&[("Action", "DeleteOpenIDConnectProvider"), ("OpenIDConnectProviderArn", arn)]).await;
    let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    query(&form).await;
    Answer::query(&request.operation, NAMESPACE, "")
}
