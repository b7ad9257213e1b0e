//! How a DynamoDB table is deleted: never without its data being kept, unless the person says so.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::SystemTime;

use ecs_aws::Answer as _;
use ecs_core::console::Console;
use ecs_core::{Error, Result};

use crate::DynamoDb;
use crate::dynamodb::Live;

/// Characters of a table's name that its backup is called after. A backup's name has 255 at most:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html>
const NAME: usize = 220;

/// What to do about a protected table.
pub const UNPROTECT: &str =
    "set `deletion_protection = false` for it in the stack file, run ecs-db with it, then destroy";

/// The deletion of tables: each is backed up once, however often DynamoDB says "not yet".
#[derive(Debug)]
pub struct TableDeletion {
    console: Console,
    /// Whether the data is kept
    keep: bool,
    kept: RefCell<BTreeSet<String>>,
}

impl TableDeletion {
    /// Makes the deletion of tables that keeps their data, or does not.
    pub fn new(console: &Console, keep: bool) -> Self {
        Self { console: console.clone(), keep, kept: RefCell::default() }
    }

    /// Deletes a table, and keeps its data in a backup before.
    ///
    /// DynamoDB itself keeps a system backup of a table with point-in-time recovery, for 35 days and without charge:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html#howitworks-pitr-deleting-table>.
    /// It refuses to delete a table while it makes a backup of it:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_HowItWorks.html>
    ///
    /// # Errors
    /// When the table is protected; [`ecs_core::Kind::InUse`] while DynamoDB is busy with it; any other refusal.
    pub async fn delete(&self, dynamodb: &DynamoDb, live: &Live) -> Result<()> {
        let name = live.described.table_name().unwrap_or_default();
        if live.is_protected() {
            return Err(Error::other("it is protected from deletion").hint(UNPROTECT));
        }
        let known = self.kept.borrow().contains(name);
        if !known && live.recovery {
            let line = format!("DynamoDB keeps its data for 35 days as the system backup {name}$DeletedTableBackup");
            self.console.say("backup", &format!("table {name}: {line}"));
        } else if !known && self.keep {
            let backup = backup(name);
            let call = dynamodb.write.create_backup().table_name(name).backup_name(&backup);
            call.send().await.answer("dynamodb:CreateBackup")?;
            self.console.say("backup", &format!("table {name}: its data is kept as the backup {backup}"));
        }
        self.kept.borrow_mut().insert(name.to_owned());
        let deleted = dynamodb.write.delete_table().table_name(name).send().await;
        deleted.answer("dynamodb:DeleteTable").map(drop)
    }
}

/// Returns the name of a table's backup.
fn backup(table: &str) -> String {
    // 2026-01-31T12:00:00Z, of which a backup's name takes the digits.
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).collect();
    let start: String = table.chars().take(NAME).collect();
    format!("{start}-final-{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_has_a_name_that_dynamodb_takes() {
        let name = backup(&"t".repeat(255));
        let digits = name.rsplit('-').next().expect("digits");
        assert!(name.len() <= 255 && digits.len() == 14 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
        assert!(backup("shop-orders").starts_with("shop-orders-final-20"));
    }
}
