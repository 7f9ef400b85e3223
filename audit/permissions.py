from config.api.permissions import requires

MayReadAudit = requires("audit.view_auditentry", "Only administrators may read the audit log.")
