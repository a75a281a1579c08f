package nyckelsim

// endpoints returns all endpoints by path, but for the one that gives tokens.
func (s *Server) endpoints() map[string]verbs {
	functions := verbs{"GET": s.listFunctions, "POST": s.createFunction}
	all := map[string]verbs{
		"/v1/functions":                    functions,
		"/v1/functions/{$}":                functions,
		"/v1/functions/{function}":         {"GET": s.getFunction, "PUT": s.updateFunction, "DELETE": s.deleteFunction},
		"/v1/functions/{function}/summary": {"GET": s.summary},
		"/v1/functions/{function}/models":  {"GET": s.listModels},
		"/v1/functions/{function}/search":  {"POST": s.searchBare},

		"/v1/search-functions/{function}/invoke": {"POST": s.searchFunction},

		"/v1/functions/{function}/labels":         {"GET": s.listLabels, "POST": s.createLabel},
		"/v1/functions/{function}/labels/{label}": {"GET": s.getLabel, "PUT": s.updateLabel, "DELETE": s.deleteLabel},

		"/v1/functions/{function}/fields":         {"GET": s.listFields, "POST": s.createField},
		"/v1/functions/{function}/fields/{field}": {"GET": s.getField, "DELETE": s.deleteField},

		"/v0.9/functions/{function}":         {"GET": s.getFunctionState},
		"/v0.9/functions/{function}/metrics": {"GET": s.metrics},
		"/v0.9/functions/{function}/models":  {"GET": s.listModels},
		"/v0.9/functions/{function}/search":  {"POST": s.searchOld},
		"/v0.9/functions/{function}/ocr":     {"POST": s.lookFor(ocr)},
		"/v0.9/functions/{function}/locate":  {"POST": s.lookFor(localization)},
		"/v0.9/projects":                     {"GET": s.listProjects, "POST": s.createProject},
	}
	for _, version := range []string{"/v1", "/v0.9"} { // the same in both: a function's output says what its answers look like
		function := version + "/functions/{function}"
		all[function+"/invoke"] = verbs{"POST": s.invoke}
		all[function+"/samples"] = verbs{"GET": s.listSamples, "POST": s.createSample, "DELETE": s.deleteSamples}
		all[function+"/samples/{sample}"] = verbs{"GET": s.getSample, "DELETE": s.deleteSample}
		all[function+"/samples/{sample}/annotation"] = verbs{
			"PUT": s.annotate, "POST": s.annotate, "DELETE": s.removeAnnotation,
		}
	}
	return all
}
