//! What a role may do, as one table.
use super::{Credential, Right, Role};

#[test]
fn a_credential_in_a_log_shows_no_secret() {
    let shown = [Credential::Bearer("kw_secret".into()), Credential::Session("secret".into())];
    assert_eq!(format!("{shown:?}"), "[Bearer(…), Session(…)]");
}

#[test]
fn each_role_may_do_what_the_table_says_and_nothing_else() {
    use Right::{Approve, Configure, Operate, ReadAudit, See, WorkTickets};
    let table: [(Role, &[Right]); 6] = [
        (Role::Viewer, &[See]),
        (Role::Dispatcher, &[See, WorkTickets, Operate]),
        (Role::Engineer, &[See, Operate]),
        (Role::Manager, &[See]),
        (Role::Admin, &[See, WorkTickets, Operate, Approve, Configure, ReadAudit]),
        (Role::Customer, &[]),
    ];
    assert_eq!(table.len(), Role::ALL.len());
    for (role, rights) in table {
        for right in [See, WorkTickets, Operate, Approve, Configure, ReadAudit] {
            assert_eq!(role.may(right), rights.contains(&right), "{role:?} {right:?}");
        }
        assert_eq!(Role::parse(role.as_str()), Some(role));
    }
}
