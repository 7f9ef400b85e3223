// The state of the admin site's pages. django-unfold writes it into the HTML, which needs 'unsafe-eval';
// Alpine's build for a strict Content-Security-Policy reads it from here.
document.addEventListener("alpine:init", () => {
  Alpine.data("theme", theme);
  Alpine.data("searchForm", searchForm);
  Alpine.data("searchDropdown", searchDropdown);
  Alpine.data("shell", () => ({
    activeTab: "",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
    // Expressions read the address, and may not reach the real window.
    window: { location: { pathname: location.pathname, search: location.search } },
    init() {
      this.activeTab = getCurrentTab() || this.$el.dataset.tab;
      this.$watch("sidebarDesktopOpen", (open) => localStorage.setItem("sidebarDesktopOpen", open ? "1" : "0"));
    },
  }));
});
// Scrolling is the browser's own; unfold's script asks for this library's instances.
window.SimpleBar = { instances: new Map() };
