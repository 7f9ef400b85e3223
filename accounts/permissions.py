from config.api.permissions import requires

MayManageUsers = requires("accounts.manage_users", "Only administrators may manage users.")
