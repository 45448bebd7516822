"""One event as one sentence a person reads, in Chinese and English, with how much it matters."""

from __future__ import annotations

from typing import Literal

from cloud_bridge.read_models.names import Names, masked, yuan
from contracts import event_types as e

Level = Literal["info", "ok", "attention", "fault"]
Sentence = tuple[str, str, Level]

_OUTCOMES: dict[str, tuple[str, str, Level]] = {
    "settled": ("已结算", "settled", "ok"),
    "settled_unpaid": ("已结算，款项未收到", "settled, not paid", "attention"),
    "nothing_taken": ("没有取走商品", "nothing was taken", "info"),
    "not_opened": ("门没有打开", "the door was not opened", "info"),
    "review_charged": ("人工核对后收款", "charged after review", "ok"),
    "review_dropped": ("人工核对后不收款", "not charged after review", "attention"),
    "voided": ("已撤销", "voided", "info"),
    "cancelled": ("已取消", "cancelled", "info"),
    "declined": ("付款被拒绝", "payment declined", "info"),
    "restocked": ("补货完成", "restocked", "ok"),
}
_MODES: dict[str, tuple[str, str]] = {
    "self_service": ("自助购物", "self-service purchase"),
    "staff_release": ("店员放行购物", "staff-released purchase"),
    "counter_only": ("柜台购物", "purchase at the counter"),
    "restock": ("补货", "restock"),
    "maintenance": ("维护", "maintenance"),
}
_UNLOCKS: dict[str, tuple[str, str, Level]] = {
    "opened": ("锁已打开", "the lock opened", "info"),
    "refused": ("锁板拒绝", "the lock board refused", "attention"),
    "no_reply": ("锁板没有回答", "the lock board did not answer", "attention"),
    "not_sent": ("没有发出开锁指令", "no unlock was sent", "info"),
    "unknown": ("结果不明", "the outcome is unknown", "attention"),
}
_GATES: dict[str, tuple[str, str, Level]] = {
    "allowed": ("允许", "allowed", "info"),
    "denied": ("拒绝", "denied", "attention"),
    "lapsed_after_unlock": ("开锁后失效", "lapsed after the unlock", "attention"),
    "revoked": ("已停止", "revoked", "attention"),
    "lifted": ("已恢复", "lifted", "info"),
}


_DISK: dict[str, tuple[str, str, Level]] = {
    "ok": ("磁盘空间充足", "The disk has room", "ok"),
    "warn": ("磁盘快满了", "The disk is filling up", "attention"),
    "free_telemetry": ("磁盘将满，已丢弃遥测数据", "The disk is nearly full; telemetry was dropped", "attention"),
    "full": ("磁盘已满，柜门停用", "The disk is full; no door opens", "fault"),
}


def sentence(data: e.EventData, names: Names) -> Sentence:
    """The sentence of `data`. A type without words of its own is told by its name."""
    return _session(data, names) or _money(data, names) or _house(data, names) or _agent(data)


def unknown(name: str) -> Sentence:
    """An event of a type this version does not know."""
    return f"收到新类型的事件：{name}", f"Event of a type not known here: {name}", "info"


def dead_letter(reason: str) -> Sentence:
    """An event that broke its schema or may not be kept."""
    return f"无法读取的事件：{reason}", f"Unreadable event: {reason}", "attention"


def _session(data: e.EventData, names: Names) -> Sentence | None:
    match data:
        case e.CabinetSessionStarted(compartment=compartment, mode=mode):
            (zh, en), (zh_mode, en_mode) = names.compartment(compartment), _MODES[mode]
            return f"{zh}：开始{zh_mode}", f"{en}: {en_mode} started", "info"
        case e.CabinetSessionDeclared(lines=lines):
            zh, en = names.basket(lines)
            return f"顾客要买 {zh}", f"The customer asks for {en}", "info"
        case e.CabinetSessionEnded(outcome=outcome):
            zh, en, level = _OUTCOMES[outcome]
            return f"会话结束：{zh}", f"Session ended: {en}", level
        case e.CabinetUnlockGranted(attempt=attempt):
            return f"准许开锁（第 {attempt} 次）", f"Unlock granted (attempt {attempt})", "info"
        case e.CabinetUnlockDenied(compartment=compartment, reason=reason):
            zh, en = names.compartment(compartment)
            return f"{zh}：拒绝开锁（{reason}）", f"{en}: unlock denied ({reason})", "attention"
        case e.CabinetUnlockCompleted(result=result):
            return _UNLOCKS[result]
        case e.CabinetDoorOpened(compartment=compartment):
            zh, en = names.compartment(compartment)
            return f"{zh}：门打开", f"{en}: door opened", "info"
        case e.CabinetDoorClosed(compartment=compartment):
            zh, en = names.compartment(compartment)
            return f"{zh}：门关上", f"{en}: door closed", "info"
        case e.CabinetDoorForced(compartment=compartment):
            zh, en = names.compartment(compartment)
            return f"{zh}：门在没有会话时被打开", f"{en}: door opened without a session", "fault"
        case e.CabinetDoorHeldOpen(compartment=compartment, open_s=open_s):
            zh, en = names.compartment(compartment)
            return f"{zh}：门已打开 {open_s:.0f} 秒", f"{en}: door open for {open_s:.0f} s", "attention"
        case e.CabinetStockChanged(shelf=shelf, sku=sku, delta_units=delta):
            (zh_shelf, en_shelf), (zh, en) = names.shelf(shelf), names.product(sku)
            return f"{zh_shelf}：{zh} {delta:+d}", f"{en_shelf}: {en} {delta:+d}", "info"
        case e.CabinetStockUnexplained(compartment=compartment):
            zh, en = names.compartment(compartment)
            return f"{zh}：重量变化没有会话可以解释", f"{en}: weight changed and no session explains it", "fault"
        case e.CabinetSettlementResolved(lines=()):
            return "结算：没有取走商品", "Settled: nothing was taken", "info"
        case e.CabinetSettlementResolved(lines=lines):
            zh, en = names.basket(lines)
            total = yuan(sum(line.qty * line.price_fen for line in lines))
            return f"售出 {zh}，{total}", f"Sold {en}, {total}", "ok"
        case e.CabinetSettlementNeedsReview(reason=reason, proposal=proposal):
            zh, en = names.basket(proposal)
            zh_more, en_more = (f"，建议 {zh}", f", proposal {en}") if proposal else ("", "")
            return f"需要人工核对（{reason}）{zh_more}", f"Needs review ({reason}){en_more}", "attention"
        case _:
            return None


def _money(data: e.EventData, names: Names) -> Sentence | None:
    match data:
        case e.PaymentRequested(kind="authorise", amount_fen=fen):
            return f"请求预授权 {yuan(fen)}", f"Hold of {yuan(fen)} requested", "info"
        case e.PaymentRequested(kind="capture", amount_fen=fen):
            return f"请求收款 {yuan(fen)}", f"Capture of {yuan(fen)} requested", "info"
        case e.PaymentRequested():
            return "请求撤销预授权", "Release of the hold requested", "info"
        case e.PaymentAuthorised(amount_fen=fen):
            return f"预授权成功 {yuan(fen)}", f"{yuan(fen)} held", "info"
        case e.PaymentCaptured(amount_fen=fen):
            return f"收款成功 {yuan(fen)}", f"{yuan(fen)} paid", "ok"
        case e.PaymentFailed(code=code):
            return f"付款失败（{code}）", f"Payment failed ({code})", "attention"
        case e.PaymentVoided():
            return "预授权已撤销", "The hold was released", "info"
        case e.MemberRecognised(member_ref=member_ref):
            return f"识别会员 {masked(member_ref)}", f"Member {masked(member_ref)} recognised", "info"
        case e.RecommendationShown(items=items):
            named = [names.product(sku) for sku in items]
            zh, en = "、".join(name[0] for name in named), ", ".join(name[1] for name in named)
            return f"推荐 {zh}", f"Offered {en}", "info"
        case e.AgeCheckPassed(min_age=age):
            return f"已证明年满 {age} 岁", f"Proven to be at least {age}", "ok"
        case e.AgeCheckFailed(min_age=age):
            return f"未能证明年满 {age} 岁", f"Not proven to be at least {age}", "attention"
        case e.AgeCheckExpired():
            return "年龄证明已过期", "The proof of age expired", "info"
        case e.GateDecision(stage=stage, outcome=outcome, failed=failed):
            zh, en, level = _GATES[outcome]
            zh_why, en_why = (f"（{'、'.join(failed)}）", f" ({', '.join(failed)})") if failed else ("", "")
            return f"闸门 {stage}：{zh}{zh_why}", f"Gate {stage}: {en}{en_why}", level
        case _:
            return None


_GATE_ZH = {
    "allowed": "允许",
    "denied": "拒绝",
    "lapsed_after_unlock": "开锁后失效",
    "revoked": "已停止",
    "lifted": "已恢复",
}
_GATE_EN = {
    "allowed": "allowed",
    "denied": "denied",
    "lapsed_after_unlock": "lapsed after the unlock",
    "revoked": "revoked",
    "lifted": "lifted",
}


def _house(data: e.EventData, names: Names) -> Sentence | None:
    match data:
        case e.StoreOpened(staff_id=staff):
            return f"开店（{staff}）", f"Store opened by {staff}", "ok"
        case e.StoreClosed(staff_id=staff):
            return f"闭店（{staff}）", f"Store closed by {staff}", "info"
        case e.StaffSignedIn(staff_id=staff):
            return f"店员 {staff} 签到", f"{staff} signed in", "info"
        case e.StaffSignedOut(staff_id=staff):
            return f"店员 {staff} 签退", f"{staff} signed out", "info"
        case e.StaffPresenceLost(staff_id=staff):
            return f"店员 {staff} 离岗超时", f"{staff} is no longer present", "attention"
        case e.DeviceOnline(device=device):
            return f"设备 {device} 上线", f"Device {device} online", "ok"
        case e.DeviceOffline(device=device):
            return f"设备 {device} 离线", f"Device {device} offline", "fault"
        case e.DeviceReading(device=device, values=values):
            said = ", ".join(f"{name} {value}" for name, value in list(values.items())[:6])
            return f"设备 {device} 读数：{said}", f"Device {device} reads {said}", "info"
        case e.DeviceFault(device=device, code=code):
            return f"设备 {device} 故障：{code}", f"Device {device} fault: {code}", "fault"
        case e.DeviceRecovered(device=device, code=code):
            return f"设备 {device} 恢复：{code}", f"Device {device} recovered: {code}", "ok"
        case e.BusError(bus=bus, kind=kind, count=count):
            return f"总线 {bus}：{kind} ×{count}", f"Bus {bus}: {kind} ×{count}", "attention"
        case e.ConfigChanged():
            return "店铺配置已更新", "The store's description changed", "info"
        case e.InventoryCounted(shelf=shelf, sku=sku, units=units):
            (zh_shelf, en_shelf), (zh, en) = names.shelf(shelf), names.product(sku)
            return f"盘点 {zh_shelf}：{zh} {units} 件", f"Counted {en_shelf}: {en}, {units} units", "info"
        case e.CabinetDoorReading(compartment=compartment, open=is_open):
            zh, en = names.compartment(compartment)
            return f"{zh}：门{'开着' if is_open else '关着'}", f"{en}: door {'open' if is_open else 'closed'}", "info"
        case e.WeightReading(shelf=shelf, gross_g=gross_g):
            zh, en = names.shelf(shelf)
            return f"{zh}：{gross_g:.1f} 克", f"{en}: {gross_g:.1f} g", "info"
        case e.ScanBarcode(accepted=True):
            return "扫码成功", "A code was read", "info"
        case e.ScanBarcode(reason=reason):
            return f"扫码被拒绝（{reason}）", f"A code was refused ({reason})", "attention"
        case e.LicenceExpiring(scope=scope, days_left=days):
            return f"许可证 {scope} 还有 {days} 天到期", f"Licence {scope} expires in {days} days", "attention"
        case e.LicenceExpired(scope=scope):
            return f"许可证 {scope} 已过期", f"Licence {scope} has expired", "fault"
        case e.PeopleCrossing(direction="in", count=count):
            return f"{count} 人进店", f"{count} came in", "info"
        case e.PeopleCrossing(count=count):
            return f"{count} 人离店", f"{count} left", "info"
        case e.PeopleCountInterval(entered=entered, left=left):
            return f"客流：进 {entered}，出 {left}", f"Visitors: {entered} in, {left} out", "info"
        case e.PeopleOccupancy(value=value):
            return f"店内 {value} 人", f"{value} in the store", "info"
        case _:
            return None


def _agent(data: e.EventData) -> Sentence:
    match data:
        case e.TelemetryDropped(count=count):
            return f"存储已满，丢弃 {count} 条遥测", f"Telemetry dropped: {count} events", "attention"
        case e.ClockEstimated(offset_ms=offset_ms):
            return f"时钟偏差 {offset_ms:.0f} 毫秒", f"Clock is off by {offset_ms:.0f} ms", "info"
        case e.CommandAccepted(kind=kind):
            return f"接受指令 {kind}", f"Command {kind} accepted", "info"
        case e.CommandRefused(kind=kind, reason=reason):
            return f"拒绝指令 {kind}（{reason}）", f"Command {kind} refused ({reason})", "attention"
        case e.CommandCompleted(kind=kind, outcome="done"):
            return f"指令 {kind} 完成", f"Command {kind} done", "ok"
        case e.CommandCompleted(kind=kind, outcome=outcome):
            return f"指令 {kind} 结果：{outcome}", f"Command {kind}: {outcome}", "attention"
        case e.StreamForked(lane=lane, reason="cloud_loss", lost_first=first, lost_last=last):
            zh = f"云端丢失了已确认的 {lane} 第 {first}–{last} 条，账本已分叉"
            return zh, f"The cloud lost confirmed events {first}–{last} of {lane}; the stream forked", "fault"
        case e.StreamForked(lane=lane, reason=reason):
            return f"账本 {lane} 分叉（{reason}）", f"The {lane} stream forked ({reason})", "fault"
        case e.LedgerDamaged(lane=lane, first=first, last=last):
            return f"账本 {lane} 第 {first}–{last} 条损坏", f"Ledger {lane}: events {first}–{last} are damaged", "fault"
        case e.LedgerDisk(level=level, used_percent=percent):
            zh, en, weight = _DISK[level]
            return f"{zh}（已用 {percent}%）", f"{en} ({percent}% used)", weight
        case e.LedgerWalHeld(size_bytes=size):
            megabytes = size // 1_000_000
            return (
                f"账本日志被外部读取占用（{megabytes} MB）",
                f"A long reader holds the ledger's log at {megabytes} MB",
                "attention",
            )
        case e.LedgerRequeued(count=count, by=by):
            return f"{by} 补入账本 {count} 条隔离事件", f"{by} brought {count} set-aside events back", "attention"
        case e.AgentHealth():
            return "运行状况报告", "Health report", "info"
        case _:
            return unknown(data.TYPE)
