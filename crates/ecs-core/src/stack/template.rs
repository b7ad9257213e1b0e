//! The `${…}` references in the values of parameters, secrets and environment variables, and in the resources of policies.

/// Names, without the layer, of what a parameter can say of the database.
pub const DATABASE_NAMES: [&str; 5] = ["host", "port", "name", "user", "password"];

/// Names, without the layer, of what a parameter can say of the load balancer.
pub const BALANCER_NAMES: [&str; 2] = ["dns_name", "url"];

/// The reference by which a service reads the secret that RDS made; a field of it may follow.
pub const SECRET_ARN: &str = "${db.secret_arn}";

/// What a reference says of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableField {
    /// Its name
    Name,
    /// Its ARN
    Arn,
}

/// One piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text that stands as it is
    Text(&'a str),
    /// What stands between `${` and `}`
    Reference(&'a str),
    /// A `${` that is never closed, and what follows it
    Unclosed(&'a str),
}

/// Returns the pieces of a template in their order; there is no way to escape `${`.
pub fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find("${") {
        if start > 0 {
            parts.push(Part::Text(&rest[..start]));
        }
        let inner = &rest[start + 2..];
        let Some(end) = inner.find('}') else {
            parts.push(Part::Unclosed(inner));
            return parts;
        };
        parts.push(Part::Reference(&inner[..end]));
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// Returns the table's key and what of it is meant, if a reference has the form of one to a table.
pub fn table_reference(reference: &str) -> Option<(&str, TableField)> {
    let (key, field) = reference.strip_prefix("table.")?.rsplit_once('.')?;
    match field {
        "name" => Some((key, TableField::Name)),
        "arn" => Some((key, TableField::Arn)),
        _ => None,
    }
}

/// Returns every reference that a parameter can hold, as it is written between the braces.
pub fn references<'t>(tables: impl IntoIterator<Item = &'t String>) -> impl Iterator<Item = String> {
    let database = DATABASE_NAMES.iter().map(|name| format!("db.{name}"));
    let tables = tables.into_iter().flat_map(|key| [format!("table.{key}.name"), format!("table.{key}.arn")]);
    database.chain(tables).chain(BALANCER_NAMES.iter().map(|name| format!("alb.{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_to_a_table_names_it_and_a_field() {
        assert_eq!(table_reference("table.orders.name"), Some(("orders", TableField::Name)));
        assert_eq!(table_reference("table.orders.arn"), Some(("orders", TableField::Arn)));
        for reference in ["table.orders", "table.orders.key", "db.host", "table"] {
            assert_eq!(table_reference(reference), None, "{reference}");
        }
    }

    #[test]
    fn a_template_falls_into_its_parts() {
        assert_eq!(parts(""), []);
        assert_eq!(parts("${alb.url}/api"), [Part::Reference("alb.url"), Part::Text("/api")]);
        assert_eq!(parts("a$b}${x"), [Part::Text("a$b}"), Part::Unclosed("x")]);
        assert_eq!(parts("${a}${b}"), [Part::Reference("a"), Part::Reference("b")]);
    }
}
