DROP TABLE control.audit_anchors;
