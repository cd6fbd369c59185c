package dashboards

// All are the platform's dashboards, by the name of their file.
func All() map[string]*Dashboard {
	return map[string]*Dashboard{
		"overview": overview(), "payments": payments(), "store": store(), "devices": devices(), "reconciliation": reconciliation(),
		"service": service(), "postgresql": postgresql(), "redis": redis(), "runtime": runtime(), "obs": stack(), "business-day": businessDay(),
		"cloud": cloud(),
	}
}
