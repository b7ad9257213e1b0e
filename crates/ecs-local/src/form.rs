//! Structures inside the form of a query call: "Conditions.member.1.HostHeaderConfig.Values.member.2".

use crate::call::Request;

/// A structure in a query call: the whole call, or a member of it.
#[derive(Clone, Debug)]
pub(crate) struct Form<'a> {
    request: &'a Request,
    /// With the dot at its end; empty for the whole call.
    prefix: String,
}

impl<'a> Form<'a> {
    /// The call itself.
    pub(crate) fn of(request: &'a Request) -> Form<'a> {
        Form { request, prefix: String::new() }
    }

    /// A member that is a value.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.request.form_value(&format!("{}{name}", self.prefix))
    }

    /// A member that is a structure; empty where it is not given.
    pub(crate) fn within(&self, name: &str) -> Form<'a> {
        Form { request: self.request, prefix: format!("{}{name}.", self.prefix) }
    }

    /// The members of a list of structures, in order; AWS calls them `.member.N`, `.N` or `.Thing.N`.
    pub(crate) fn list(&self, name: &str) -> Vec<Form<'a>> {
        let prefixes = self.elements(name).into_iter().map(|(_, prefix)| prefix + ".");
        prefixes.map(|prefix| Form { request: self.request, prefix }).collect()
    }

    /// The members of a list of values, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&'a str> {
        self.elements(name).into_iter().filter_map(|(_, key)| self.request.form_value(&key)).collect()
    }

    /// The indexes of a list's members, each with its key up to the index.
    fn elements(&self, name: &str) -> Vec<(u32, String)> {
        let list = format!("{}{name}.", self.prefix);
        let element = |key: &str| {
            let rest = key.strip_prefix(&list)?;
            let mut parts = rest.split('.');
            let first = parts.next()?;
            if let Ok(index) = first.parse() {
                return Some((index, format!("{list}{first}")));
            }
            let second = parts.next()?;
            Some((second.parse().ok()?, format!("{list}{first}.{second}")))
        };
        let mut found: Vec<(u32, String)> = self.request.form.iter().filter_map(|(key, _)| element(key)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// A query call with this body.
#[cfg(test)]
pub(crate) fn request(service: &str, body: &str) -> Request {
    let scope = format!("AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/{service}/aws4_request, Signature=0");
    let builder = hyper::Request::builder().method("POST").uri("/").header("authorization", scope);
    let builder = builder.header("content-type", "application/x-www-form-urlencoded");
    let (parts, ()) = builder.body(()).expect("a request").into_parts();
    Request::new(parts, hyper::body::Bytes::copy_from_slice(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_and_lists_are_found_in_order() {
        let body = "Action=CreateRule&Conditions.member.1.Field=host-header\
                    &Conditions.member.1.HostHeaderConfig.Values.member.2=b\
                    &Conditions.member.1.HostHeaderConfig.Values.member.1=a\
                    &Conditions.member.10.Field=path-pattern&Conditions.member.2.Field=x\
                    &SubnetIds.SubnetIdentifier.1=subnet-1&Ids.1=i";
        let request = request("elasticloadbalancing", body);
        let form = Form::of(&request);
        let conditions = form.list("Conditions");
        let fields: Vec<_> = conditions.iter().filter_map(|condition| condition.value("Field")).collect();
        assert_eq!(fields, ["host-header", "x", "path-pattern"]);
        assert_eq!(conditions[0].within("HostHeaderConfig").values("Values"), ["a", "b"]);
        assert_eq!(form.values("SubnetIds"), ["subnet-1"]);
        assert_eq!(form.values("Ids"), ["i"]);
        assert_eq!(form.values("Names"), [""; 0]);
    }
}
